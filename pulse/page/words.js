// What the pages say in sentences, in the words of Power BI's.

const people = n => `${FORMATS.count(n)} ${n === 1 ? "customer" : "customers"}`;

function stateLine() {
  const month = latestOf(MONTHS);
  const parts = [
    SHOP.shop,
    SHOP.as_of && `as of ${SHOP.as_of}`,
    SHOP.currency,
    month ? `latest complete month ${FORMATS.month(month)}` : "no month is complete",
    MISSING[ANALYSE] || MISSING[CHURN] || "churn figures of the same orders",
  ];
  return SHOP.shop || SHOP.as_of ? parts.filter(Boolean).join(" · ") : MISSING[ANALYSE];
}

// How a card's figure changed from the month and the year before.
function changeWords(month, hasOrders, byMonth, byYear) {
  if (!month) return "no month is complete";
  if (!hasOrders) return `none in ${FORMATS.month(month)}`;
  const [last, yearBefore] = [FORMATS.name(monthsBefore(month, 1)), FORMATS.month(monthsBefore(month, 12))];
  if (byMonth === null && byYear === null) return `none above 0 in ${last} or ${yearBefore}`;
  const words = (value, before) =>
    value === null ? `none above 0 in ${before}` : `${FORMATS.change(value)} on ${before}`;
  return `${words(byMonth, last)}, ${words(byYear, yearBefore)}`;
}

function overviewWords({ rows, month, now, byMonth, byYear }) {
  if (!rows.length) return "No orders in this choice.";
  if (!month)
    return `No month of this choice is complete: net revenue is ${FORMATS.money(sum(rows, "gross") + sum(rows, "refunds"))} so far.`;
  const beside = (value, words) =>
    `${PERCENT.format(Math.abs(value))} ${value < 0 ? "below" : "above"} the ${words} before`;
  const changes = [
    [byMonth, "month"],
    [byYear, "year"],
  ]
    .filter(([value]) => value !== null)
    .map(([value, words]) => beside(value, words));
  const given = ratio(-now.refunds, now.gross);
  return (
    `Net revenue was ${FORMATS.money(now.net)} in ${FORMATS.month(month)}${changes.length ? ", " : ""}${changes.join(" and ")}` +
    `${given > 0 ? `; refunds took ${PERCENT.format(given)}` : ""}.`
  );
}

function segmentWords({ customers, best, guests, moved }) {
  if (!customers && !guests) return "No customers in this choice.";
  if (!customers) return `No customers in this choice: guests brought ${FORMATS.money(guests)}.`;
  const brought = best.ofRevenue === null ? "" : ` and brought ${PERCENT.format(best.ofRevenue)} of revenue`;
  return `${best.segment} are ${PERCENT.format(best.ofCustomers)} of customers${brought}; ${moved ? people(moved) : "no customer"} changed segment within a month.`;
}

function retentionWords(customers, [month1, month3, month12]) {
  if (!customers) return "No customers in this choice.";
  if (month1 === null) return "Too early to say: no month after a first order is complete.";
  const many = value => INTEGER.format(100 * value);
  const third = month3 === null ? "" : `${month12 === null ? " and " : ", "}${many(month3)} in month 3`;
  const twelfth = month12 === null ? "" : ` and ${many(month12)} in month 12`;
  return `Of each 100 new customers ${many(month1)} ordered again in the month after${third}${twelfth}.`;
}

function churnWords({ predicted, contact, worth, atRisk, approximate }) {
  if (!predicted) return "No customers in this choice.";
  const whom = contact === 1 ? "" : `${FORMATS.count(contact)} `;
  const days = SHOP.horizon ? ` within ${SHOP.horizon} days` : "";
  const advice = contact
    ? `Contact the first ${whom}of ${people(predicted)}: worth ${approximate ? "about " : ""}${FORMATS.money(worth)}${days}`
    : CAN_RANK
      ? "Contacting nobody pays with these costs"
      : "Contact nobody: the model ranks no better than chance";
  return `${advice}; ${FORMATS.money(atRisk)} of revenue is at risk.`;
}

function modelWords({ accuracy, majority, rule }) {
  const beside = (value, words) => (value === null ? "" : `; ${words} for ${PERCENT.format(value)}`);
  return (
    `Tested on a later window, the model is right for ${PERCENT.format(accuracy)} of customers` +
    `${beside(majority, "guessing the larger class")}${beside(rule, "the recency rule")}.`
  );
}

// What is chosen and moves nothing on a page.
function leftOut(page) {
  const left = CHOICES.filter(name => state[name].size && !slicersOf(page).includes(name)).map(name => NAMES[name]);
  return left.length ? `Left out here: the choice of ${left.join(", ")}. ${page.why || ""}` : "";
}

// What is chosen, for a page on paper: its slicers are not there.
function chosenWords(page) {
  const on = slicersOf(page);
  const sets = CHOICES.filter(name => on.includes(name) && state[name].size).map(
    name => `${NAMES[name]}: ${[...state[name]].map(value => labelOf(name, value)).join(", ")}`,
  );
  const tested = on.includes("population") ? [`Customers tested: ${state.population}`] : [];
  const costs = page.id === "churn" && isChanged(state.costs) ? COSTS : [];
  return [...sets, ...tested, ...costs.map(([name, words]) => `${words}: ${state.costs[name]}`)].join("; ");
}

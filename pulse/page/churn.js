// What is coming, who is leaving, and whom it is worth contacting.

// --- what a contact is worth ---

const CAMPAIGN = (TABLES.campaign || [{}])[0];
const usualCost = name => CAMPAIGN[name];
const usualCosts = () => Object.fromEntries(COSTS.map(([name]) => [name, usualCost(name)]));
const isChanged = costs => COSTS.some(([name]) => costs[name] !== usualCost(name));
const RANKING = (TABLES.metrics || []).find(
  row => row.model === "logistic_regression" && row.population === "all" && row.metric === "roc_auc",
);
const CAN_RANK = Boolean(RANKING) && !(RANKING.low <= 0.5); // as script 3 decides it

function isCost(text, most) {
  const value = Number(text);
  return Boolean(text) && Number.isFinite(value) && value >= 0 && value <= most;
}

const costOf = (text, [name, , , most]) => (isCost(text, most) ? Number(text) : usualCost(name));

// Of customers whose probabilities and amounts at risk add up to these; nobody who is gone is won.
function profitOf({ customers, probability, at_risk }, { contact_cost, offer_cost, success_rate, margin }) {
  const saved = at_risk > 0 ? success_rate * (margin * at_risk - offer_cost * UNIT * probability) : 0;
  return saved - (customers - probability) * offer_cost * UNIT - customers * contact_cost * UNIT;
}

// Whom of the choice to contact at these costs: how many, their worth, and the rows of those listed, best first.
function contacts(choice) {
  const risks = chosen("risks", choice, SCORED).filter(row => row.contact === "yes");
  const listed = chosen("list", choice, SCORED);
  if (!isChanged(choice.costs)) {
    const rows = listed.filter(row => row.contact === "yes");
    return { contact: sum(risks, "customers"), worth: sum(risks, "profit"), rows: ranked(rows) };
  }
  const rows = CAN_RANK ? listed.map(row => ({ ...row, profit: profitOfOne(row, choice.costs) })) : [];
  const priced = TABLES.bins ? chosen("bins", choice, SCORED) : [];
  const worth = priced.map(row => ({ customers: row.customers, profit: profitOf(row, choice.costs) }));
  const paying = (TABLES.bins ? worth : rows).filter(row => row.profit > 0 && CAN_RANK);
  return {
    contact: TABLES.bins ? sum(paying, "customers") : paying.length,
    worth: sum(paying, "profit"),
    rows: ranked(rows.filter(row => row.profit > 0)),
    approximate: Boolean(TABLES.bins),
  };
}

function profitOfOne(row, costs) {
  const at_risk = row.band === "gone" ? 0 : row.probability * row.staying;
  return Math.round(profitOf({ customers: 1, probability: row.probability, at_risk }, costs));
}

// By falling profit, each with its place; equals have the better one.
function ranked(rows) {
  const sorted = [...rows].sort((a, b) => b.profit - a.profit || (a.id < b.id ? -1 : 1));
  const place = new Map();
  sorted.forEach((row, n) => place.has(row.profit) || place.set(row.profit, n + 1));
  return sorted.map(row => ({ ...row, rank: place.get(row.profit) }));
}

// --- the page ---

function churn(choice) {
  const risks = chosen("risks", choice, SCORED);
  const found = contacts(choice);
  const predicted = sum(risks, "customers");
  const count = band =>
    sum(
      risks.filter(row => row.band === band),
      "customers",
    );
  const reasons = barsOf(
    largest(
      sumsBy(
        risks.filter(row => row.reason !== null),
        "reason",
        "at_risk",
      ),
      "at_risk",
    ),
    "at_risk",
    "money",
    ["Main reason", "Net revenue at risk"],
  );
  const bands = sumsBy(risks, "band", "customers");
  const bars = barsOf(
    BANDS.filter(band => bands.has(band)).map(band => [band, bands.get(band)]),
    "customers",
    "count",
    ["Risk band", "Customers"],
  );
  const none = predicted ? "" : "No customers in this choice";
  return {
    words: churnWords({ ...found, predicted, atRisk: sum(risks, "at_risk") }),
    parts: [
      { title: "Expected of today's customers", value: predicted ? sum(risks, "expected") : null, kind: "money" },
      { title: "Net revenue at risk", value: predicted ? sum(risks, "at_risk") : null, kind: "money" },
      { title: "At high risk, still to be won", value: count("high"), kind: "count" },
      { title: "Gone already", value: count("gone"), kind: "count" },
      forecastLines(),
      {
        title:
          none ||
          (reasons.rows.length
            ? "Revenue at risk by main reason"
            : "Nobody in this choice is at risk for a known reason"),
        note: reasons.rows.length ? "of those at medium and high risk" : "",
        ...reasons,
      },
      { ...found, predicted, costs: choice.costs },
      profitLine(),
      { title: none || "Customers by risk band", ...bars },
    ],
  };
}

function forecastLines() {
  const actual = TABLES.forecast
    .filter(row => row.actual !== null)
    .map(row => ({
      kind: "Actual",
      x: row.window_start,
      y: money(row.actual),
      value: row.actual,
      end: row.window_end,
      low: null,
      high: null,
    }));
  const forecast = TABLES.forecast.map(row => ({
    kind: "Forecast, with its 80% range",
    x: row.window_start,
    y: money(row.forecast),
    value: row.forecast,
    end: row.window_end,
    low: row.low === null ? null : money(row.low),
    high: row.high === null ? null : money(row.high),
    least: row.low,
    most: row.high,
  }));
  return {
    title: TABLES.forecast.length
      ? "Net revenue, forecast and actual: all customers"
      : "No forecast: the shop is too young",
    rows: [...forecast, ...actual],
    columns: [
      ["", "kind", "text"],
      ["From", "x", "day"],
      ["Until before", "end", "day"],
      ["Net revenue", "value", "money"],
      ["Low", "least", "money"],
      ["High", "most", "money"],
    ],
  };
}

function profitLine() {
  const rows = TABLES.profit_curve.map(row => ({
    x: row.customers_contacted,
    y: money(row.profit),
    value: row.profit,
    best: row.is_best,
    said: `${FORMATS.count(row.customers_contacted)}: ${FORMATS.money(row.profit)}`,
  }));
  return {
    title: "Profit by number contacted",
    note: "all customers, costs as script 3 has them",
    rows,
    columns: [
      ["Customers contacted", "x", "count"],
      ["Profit", "value", "money"],
    ],
  };
}

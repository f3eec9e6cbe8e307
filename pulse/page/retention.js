// Who comes back, how many and how soon, by one dimension at a time.

const MOST_LINES = 6;
const LINKED = {
  country: "country",
  acquisition_channel: "channel",
  first_category: "first_category",
  first_channel: "first_channel",
};

// The one dimension that the retention page is of: the one asked for, else one with a choice.
const dimensionOf = choice =>
  LINKED[choice.by] ? choice.by : Object.keys(LINKED).find(name => choice[LINKED[name]].size) || "country";

function retention(choice) {
  const by = dimensionOf(choice);
  const values = choice[LINKED[by]];
  const title = DIMENSIONS.find(([name]) => name === by)[1];
  const isOf = row => (values.size ? row.dimension === by && values.has(row.value) : row.dimension === "all");
  const sizes = TABLES.cohort_sizes.filter(isOf);
  const customers = sum(sizes, "customers");
  const total = sumsBy(TABLES.curves.filter(isOf), "since", "customers", "active", "so_far");
  const rate = since => (total.has(since) ? ratio(total.get(since).active, total.get(since).customers) : null);
  const rates = [1, 3, 12].map(rate);
  return {
    words: retentionWords(customers, rates),
    parts: [
      { title: "Customers", value: customers, kind: "count" },
      ...rates.map((value, n) => ({ title: `Order again in month ${[1, 3, 12][n]}`, value, kind: "share" })),
      retentionCurves(by, values, total, title),
      repurchaseCurves(by, values),
      cohortHeat(choice, isOf, customers, rates[0]),
      retentionByValue(by, values, title, customers, rates[0]),
      soFar(total, customers),
    ],
  };
}

// The values with a line of their own: those chosen, else those of most customers.
function comparedValues(by, values) {
  const rows = TABLES.cohort_sizes.filter(row => row.dimension === by && (!values.size || values.has(row.value)));
  return rows
    .sort((a, b) => b.customers - a.customers)
    .slice(0, MOST_LINES)
    .map(row => row.value);
}

function retentionCurves(by, values, total, title) {
  const lines = [
    [values.size ? "Those chosen" : "All", total],
    ...comparedValues(by, values).map(value => [
      value,
      sumsBy(
        TABLES.curves.filter(row => row.dimension === by && row.value === value),
        "since",
        "customers",
        "active",
      ),
    ]),
  ];
  const rows = (lines.length === 2 ? lines.slice(1) : lines).flatMap(([kind, sums]) =>
    [...sums]
      .filter(([x]) => x > 0)
      .sort((a, b) => a[0] - b[0])
      .map(([x, of]) => ({ kind, x, y: ratio(of.active, of.customers), customers: of.customers })),
  );
  const many = TABLES.cohort_sizes.filter(
    row => row.dimension === by && (!values.size || values.has(row.value)),
  ).length;
  return {
    title: rows.length
      ? `Share that orders, by months since the first order, by ${title.toLowerCase()}`
      : "Too early: no month after a first order is complete",
    note: many > MOST_LINES ? `the ${MOST_LINES} with most customers, of ${many}` : "",
    rows,
    columns: [
      [title, "kind", "text"],
      ["Months since", "x", "count"],
      ["Share that orders", "y", "share"],
      ["Customers", "customers", "count"],
    ],
  };
}

function repurchaseCurves(by, values) {
  const category = by === "first_category" && values.size === 1 ? [...values][0] : "All";
  const found = TABLES.repurchase.filter(row => row.first_category === category && row.share !== null);
  const rows = found.map(row => ({
    kind: `after order ${row.order_number}`,
    x: row.within_days,
    y: row.share,
    low: row.low,
    high: row.high,
  }));
  const whom = category === "All" ? "all customers" : `first orders of ${category}`;
  return {
    title: !TABLES.repurchase.length
      ? "Nobody has ordered yet"
      : rows.length
        ? `Share that orders again, by days since: ${whom}`
        : "Too early to say who orders again",
    note: rows.length ? "bands: 95% limits" : "",
    rows,
    columns: [
      ["Order", "kind", "text"],
      ["Within days", "x", "count"],
      ["Share", "y", "share"],
      ["Low", "low", "share"],
      ["High", "high", "share"],
    ],
  };
}

function cohortHeat(choice, isOf, customers, month1) {
  const ofRevenue = choice.shown === "revenue";
  const found = TABLES.heat.filter(isOf);
  const cohorts = [...new Set(found.map(row => row.cohort))].sort();
  const cells = new Map();
  for (const row of found) {
    const key = `${row.cohort} ${row.since}`;
    const of = cells.get(key) || { customers: 0, active: 0, net: 0 };
    cells.set(key, {
      customers: of.customers + row.customers,
      active: of.active + row.active,
      net: of.net + row.net,
    });
  }
  const last = Math.max(0, ...found.map(row => row.since));
  const months = Array.from({ length: last }, (_, n) => n + 1);
  const cell = (cohort, since) => {
    const of = cells.get(`${cohort} ${since}`),
      first = cells.get(`${cohort} 0`);
    const value = of && (ofRevenue ? ratio(of.net, first.net) : ratio(of.active, of.customers));
    const what =
      of &&
      (ofRevenue
        ? `${FORMATS.money(of.net)} net revenue, ${FORMATS.share(value)} of that of the first month`
        : `${FORMATS.count(of.active)} of ${people(of.customers)}, ${FORMATS.share(value)}`);
    return of && value !== null
      ? { value, kind: "percent", tip: `First order ${FORMATS.month(cohort)}, month ${since}: ${what}` }
      : null;
  };
  const rows = cohorts.map(cohort => ({
    label: FORMATS.month(cohort),
    cells: months.map(since => cell(cohort, since)),
  }));
  const title = ofRevenue
    ? "Net revenue of each cohort, of that of its first month"
    : "Share of each cohort that ordered, by month since the first";
  return {
    title: !customers
      ? "No customers in this choice"
      : month1 === null
        ? "Too early: no month after a first order is complete"
        : title,
    note: rows.length ? "the last 24 cohorts, on their own scale" : "",
    corner: "First order",
    heads: months.map(String),
    rows: month1 === null ? [] : rows,
  };
}

function retentionByValue(by, values, title, customers, month1) {
  const found = TABLES.curves.filter(
    row => row.since === 3 && row.dimension === by && (!values.size || values.has(row.value)),
  );
  const list = found
    .map(row => [row.value, { rate: ratio(row.active, row.customers) }])
    .sort((a, b) => b[1].rate - a[1].rate);
  const bars = barsOf(list, "rate", "share", [title, "Month 3"]);
  const words = `Retention by ${title.toLowerCase()}`;
  const early = month1 === null ? `${words}: too early to say` : `${words}: no month 3 is complete`;
  const known = {
    country: "Countries",
    acquisition_channel: "Acquisition channels",
    first_category: "First categories",
    first_channel: "Channels of first orders",
  }[by];
  return {
    title: !customers ? "No customers in this choice" : titleOf(known, `${words}, month 3`, bars.rows, early),
    ...bars,
  };
}

function soFar(total, customers) {
  const rows = [...total]
    .sort((a, b) => a[0] - b[0])
    .map(([x, of]) => ({
      kind: "Net revenue per customer",
      x,
      y: money(of.so_far / of.customers),
      each: of.so_far / of.customers,
    }));
  return {
    title: rows.length
      ? "Net revenue per customer so far"
      : customers
        ? "Too early: their first month is not complete"
        : "No customers in this choice",
    rows,
    columns: [
      ["Months since", "x", "count"],
      ["Net revenue per customer", "each", "average"],
    ],
  };
}

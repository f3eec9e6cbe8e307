// How the shop is doing, and where its revenue comes from.

const ELSEWHERE = "all acquisition channels and segments";

function monthFigures(choice, month) {
  const rows = chosen("months", { ...choice, month: new Set([month]) }, [...WHO, "month"]);
  const [orders, gross, refunds, active] = ["orders", "gross", "refunds", "active"].map(name => sum(rows, name));
  return {
    net: gross + refunds,
    gross,
    refunds,
    orders,
    average: ratio(gross, orders),
    active,
    any: rows.length > 0,
  };
}

function overview(choice) {
  const rows = chosen("months", choice, [...WHO, "month"]);
  const month = latestMonth(choice);
  const [now, before, yearBefore] = [0, 1, 12].map(n =>
    month ? monthFigures(choice, monthsBefore(month, n)) : null,
  );
  const cards = [
    ["net", "Net revenue", "money"],
    ["orders", "Completed orders", "count"],
    ["average", "Average order value", "average"],
    ["active", "Active customers", "count"],
  ];
  const changes = key => [before, yearBefore].map(then => (month ? change(now[key], then[key]) : null));
  const cardParts = cards.map(([key, title, kind]) => ({
    title: `${title}, latest full month`,
    kind,
    value: now && now.any ? now[key] : null,
    note: changeWords(month, now && now.any, ...changes(key)),
  }));
  const [byMonth, byYear] = changes("net");
  const words = overviewWords({ rows, month, now, byMonth, byYear });
  return {
    words,
    parts: [
      ...cardParts,
      revenueByMonth(rows),
      customersByMonth(rows),
      ...whereFrom(choice, rows),
      {
        title: TABLES.alerts.length
          ? "The last complete month beside what is usual, all customers"
          : "Too early to say what is usual: no month is complete",
        rows: TABLES.alerts,
        columns: [
          ["State", "state", "text"],
          ["In words", "sentence", "text"],
        ],
      },
    ],
  };
}

function revenueByMonth(rows) {
  const sums = sumsBy(rows, "month", "gross", "refunds", "orders");
  const list = [...sums]
    .sort()
    .map(([x, of]) => ({
      x,
      y: money(of.gross + of.refunds),
      net: of.gross + of.refunds,
      orders: of.orders,
      place: 0,
      kind: ENDED.has(x) ? "Complete months" : "Month in progress",
    }));
  return {
    title: list.length ? "Net revenue by month (grey: not ended)" : "No orders in this choice",
    rows: list,
    columns: [
      ["Month", "x", "month"],
      ["Net revenue", "net", "money"],
      ["Completed orders", "orders", "count"],
    ],
  };
}

function customersByMonth(rows) {
  const sums = [
    ...sumsBy(
      rows.filter(row => ENDED.has(row.month)),
      "month",
      "active",
      "new",
    ),
  ].sort();
  const kinds = [
    ["Active", of => of.active],
    ["Returning", of => of.active - of.new],
    ["New", of => of.new],
  ];
  const list = kinds.flatMap(([kind, count]) => sums.map(([x, of]) => ({ x, kind, y: count(of) })));
  return {
    title: list.length
      ? "Customers by month, without the month in progress"
      : rows.length
        ? "Customers by month: no month is complete"
        : "No customers in this choice",
    rows: list,
    columns: [
      ["Month", "x", "month"],
      ["", "kind", "text"],
      ["Customers", "y", "count"],
    ],
  };
}

function whereFrom(choice, rows) {
  const nets = rows.map(row => ({ ...row, net: row.gross + row.refunds }));
  const parts = [
    ["country", "Countries", "country"],
    ["channel", "Acquisition channels", "acquisition channel"],
  ].map(([key, known, words]) => {
    const bars = barsOf(largest(sumsBy(nets, key, "net"), "net"), "net", "money", [NAMES[key], "Net revenue"]);
    return { title: titleOf(known, `Net revenue by ${words}`, bars.rows, "No orders in this choice"), ...bars };
  });
  const drivers = [
    ["categories", "Categories", "category"],
    ["order_channels", "Order channels", "order channel"],
  ].map(([name, known, words]) => {
    const found = chosen(name, choice, ["country", "month"]);
    const bars = barsOf(largest(sumsBy(found, "value", "revenue"), "revenue"), "revenue", "money", [
      words[0].toUpperCase() + words.slice(1),
      "Gross revenue",
    ]);
    return {
      title: titleOf(known, `Gross revenue by ${words}`, bars.rows, "No orders in this choice"),
      note: ELSEWHERE,
      ...bars,
    };
  });
  return [...parts, ...drivers];
}

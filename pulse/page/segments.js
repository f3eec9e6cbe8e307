// Who the customers are, and who changed.

function segments(choice) {
  const whole = { ...choice, segment: new Set() };
  const rows = chosen("people", choice, WHO);
  const all = chosen("people", whole, WHO);
  const net = list => sum(list, "gross") + sum(list, "refunds");
  const revenue = net(chosen("months", choice, WHO));
  const ofAll = net(chosen("months", whole, WHO));
  const customers = sum(rows, "customers");
  const months = sumsBy(chosen("months", choice, WHO), "segment", "gross", "refunds");
  const of = sumsBy(rows, "segment", "customers", "recency", "orders", "monetary");
  const named = new Map(TABLES.segments.map(row => [row.segment, row]));
  const list = valuesOf("segment")
    .filter(name => of.has(name) || months.has(name))
    .map(segment => {
      const who = of.get(segment) || { customers: 0 },
        brought = months.get(segment),
        so_far = brought ? brought.gross + brought.refunds : 0;
      return {
        segment,
        customers: who.customers || null,
        ofCustomers: who.customers ? ratio(who.customers, sum(all, "customers")) : null,
        ofRevenue: ofAll > 0 ? so_far / ofAll : null,
        each: ratio(who.monetary, who.customers),
        recency: ratio(who.recency, who.customers),
        orders: ratio(who.orders, who.customers),
        what: named.has(segment) ? named.get(segment).what_to_do : null,
      };
    });
  const moves = chosen("moves", choice, WHO);
  const moved = sum(moves, "customers");
  const best = list.find(row => row.customers);
  const guests = months.get(GUESTS);
  return {
    words: segmentWords({ customers, best, guests: guests && guests.gross + guests.refunds, moved }),
    parts: [
      { title: "Customers", value: customers, kind: "count" },
      { title: "Net revenue so far", value: revenue, kind: "money" },
      { title: "Ordered more than once", value: ratio(sum(rows, "repeated"), customers), kind: "share" },
      { title: "Changed segment within a month", value: moved, kind: "count" },
      {
        title: list.length ? "Segments, the best first, and what to do with each" : "No customers in this choice",
        rows: list,
        columns: [
          ["Segment", "segment", "text"],
          ["Customers", "customers", "count"],
          ["% of customers", "ofCustomers", "share"],
          ["% of net revenue", "ofRevenue", "share"],
          ["Net revenue each", "each", "average"],
          ["Days since last order", "recency", "count"],
          ["Orders each", "orders", "tenths"],
          ["What to do", "what", "text"],
        ],
      },
      segmentShares(list),
      scoreGrid(rows),
      whoMoved(moves, moved, customers),
      segmentSizes(choice),
    ],
  };
}

function segmentShares(list) {
  const kinds = [
    ["Customers", "ofCustomers"],
    ["Net revenue", "ofRevenue"],
  ];
  const rows = list.flatMap(row => kinds.map(([kind, key]) => ({ label: row.segment, kind, value: row[key] })));
  return {
    title: rows.length ? "Share of customers and of net revenue" : "No customers in this choice",
    rows,
    columns: [
      ["Segment", "label", "text"],
      ["Share of", "kind", "text"],
      ["Share", "value", "share"],
    ],
  };
}

function scoreGrid(rows) {
  const scores = [1, 2, 3, 4, 5];
  const counts = new Map();
  for (const row of rows) counts.set(`${row.r} ${row.f}`, (counts.get(`${row.r} ${row.f}`) || 0) + row.customers);
  const cell = (r, f) =>
    counts.has(`${r} ${f}`)
      ? {
          value: counts.get(`${r} ${f}`),
          kind: "count",
          tip: `Recency ${r}, frequency ${f}: ${people(counts.get(`${r} ${f}`))}`,
        }
      : null;
  return {
    title: rows.length
      ? "Customers by recency (rows) and frequency score (columns)"
      : "No customers in this choice",
    note: rows.length ? "5: latest, and most orders" : "",
    corner: "Recency",
    heads: scores.map(String),
    rows: rows.length
      ? [...scores].reverse().map(r => ({ label: `${r}`, cells: scores.map(f => cell(r, f)) }))
      : [],
  };
}

function whoMoved(moves, moved, customers) {
  const sums = new Map();
  for (const row of moves) {
    const key = JSON.stringify([row.previous, row.segment]);
    const found = sums.get(key) || { previous: row.previous, segment: row.segment, customers: 0 };
    sums.set(key, { ...found, customers: found.customers + row.customers });
  }
  const rows = [...sums.values()].sort((a, b) => b.customers - a.customers);
  return {
    title: !customers
      ? "No customers in this choice"
      : moved
        ? `Who changed segment within a month: ${people(moved)}`
        : "Nobody changed segment within a month",
    rows,
    columns: [
      ["A month before", "previous", "text"],
      ["Now", "segment", "text"],
      ["Customers", "customers", "count"],
    ],
  };
}

function segmentSizes(choice) {
  const order = new Map(TABLES.segments.map(row => [row.segment, row.segment_order]));
  const rows = chosen("sizes", choice, ["segment"])
    .map(row => ({ x: row.month, kind: row.segment, y: row.customers, place: order.get(row.segment) }))
    .sort((a, b) => a.place - b.place);
  return {
    title: rows.length
      ? "Customers by segment at each month's end: all customers"
      : "Segments are known for the last 12 complete months alone",
    note: rows.length ? "all countries and acquisition channels" : "",
    kinds: [...order.keys()],
    rows,
    columns: [
      ["Month", "x", "month"],
      ["Segment", "kind", "text"],
      ["Customers", "y", "count"],
    ],
  };
}

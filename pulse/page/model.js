// How far the figures can be trusted.

const wordsOf = name => name.replaceAll("_", " ");

function model(choice) {
  if (MISSING[CHURN]) return { words: MISSING[CHURN], parts: [...Array(7).fill(null), ...sources()] };
  const found = TABLES.metrics.filter(row => row.population === choice.population);
  const value = (model, metric) => {
    const row = found.find(row => row.model === model && row.metric === metric);
    return row ? row.value : null;
  };
  const [accuracy, rule, majority] = ["logistic_regression", "recency_rule", "majority_class"].map(name =>
    value(name, "accuracy"),
  );
  const metrics = [...new Set(found.map(row => row.metric))];
  const kind = metric => (["customers", "threshold_days"].includes(metric) ? "count" : "metric");
  const rows = [...new Set(found.map(row => row.model))].map(name =>
    Object.fromEntries([["model", wordsOf(name)], ...metrics.map(metric => [metric, value(name, metric)])]),
  );
  const tenths = TABLES.calibration.flatMap(row => [
    { kind: "As predicted", x: row.bin, y: row.mean_predicted, customers: row.customers },
    { kind: "Observed", x: row.bin, y: row.observed_rate, customers: row.customers },
  ]);
  const odds = TABLES.coefficients
    .map(row => ({
      label: row.meaning,
      value: Math.log2(row.odds_ratio),
      said: FORMATS.doublings(Math.log2(row.odds_ratio)),
      ...row,
    }))
    .sort((a, b) => b.value - a.value);
  return {
    words: accuracy === null ? "No test of these customers." : modelWords({ accuracy, rule, majority }),
    parts: [
      ...[
        ["Right, the model", accuracy],
        ["Right, the recency rule", rule],
        ["Right, one answer for all", majority],
        ["Mean error of the probabilities", value("logistic_regression", "calibration_error")],
      ].map(([title, value]) => ({ title, value, kind: "share" })),
      {
        title: "How good each model is, on a window it had not seen",
        rows,
        columns: [["Model", "model", "text"], ...metrics.map(metric => [wordsOf(metric), metric, kind(metric)])],
      },
      {
        title: "Predicted and observed churn, by tenth of customers",
        note: "all customers; the closer, the better",
        rows: tenths.sort((a, b) => a.x - b.x),
        columns: [
          ["Tenth", "x", "count"],
          ["", "kind", "text"],
          ["Share that churns", "y", "share"],
          ["Customers", "customers", "count"],
        ],
      },
      {
        title: "What one step does to the odds of churn, in doublings",
        note: "right more, left less",
        rows: odds,
        columns: [
          ["Step", "label", "text"],
          ["Doublings", "value", "doublings"],
          ["Multiplies the odds by", "odds_ratio", "metric"],
          ["Low", "low", "metric"],
          ["High", "high", "metric"],
        ],
      },
      ...sources(),
    ],
  };
}

// What the figures are of, whether or not there is a model.
function sources() {
  return [
    {
      title: "Data: what was read, left out and reconciled",
      rows: TABLES.quality,
      columns: [
        ["Check", "check", "text"],
        ["Status", "status", "text"],
        ["Rows", "rows", "count"],
        ["Amount", "amount", "cents"],
      ],
    },
    {
      title: "Runs: both lines have to be of the same orders",
      rows: DATA.runs.map(row => ({ ...row, read: Number(row.orders) })),
      columns: [
        ["Script", "script", "text"],
        ["As of", "as_of", "text"],
        ["Orders read", "read", "count"],
        ["Currency", "currency", "text"],
        ["Time zone", "time_zone", "text"],
        ["Odd dates", "odd_dates", "text"],
        ["State", "state", "text"],
      ],
    },
  ];
}

// The five pages: which question each answers, its slicers, its parts.

const WHO = ["country", "channel", "segment"];
const SCORED = [...WHO, "band"];
const DIMENSIONS = [
  ["country", "Country"],
  ["acquisition_channel", "Acquisition channel"],
  ["first_category", "First category"],
  ["first_channel", "Channel of the first order"],
];
// what a contact costs and brings: name, words, a step of its input, and the most that it can be
const COSTS = [
  ["contact_cost", "Contact cost", 0.5, Infinity],
  ["offer_cost", "Offer cost", 0.5, Infinity],
  ["success_rate", "Success rate", 0.01, 1],
  ["margin", "Margin", 0.01, 1],
];
const limitsOf = most => (most === 1 ? "from 0 to 1" : "0 or more");

const needs =
  (...scripts) =>
  () =>
    scripts.map(script => MISSING[script]).find(Boolean) || "";

const PAGES = [
  {
    id: "overview",
    title: "Overview",
    question: "How is the shop doing, and where does its revenue come from?",
    missing: needs(ANALYSE),
    slicers: () => [...WHO, "month"],
    content: overview,
    make: () => [
      ...["net-revenue", "completed-orders", "average-order-value", "active-customers"].map(id =>
        card(`overview-card-${id}`),
      ),
      chart("overview-revenue-by-month", "half", "months"),
      chart("overview-customers-by-month", "half", "month_lines"),
      ...["country", "channel", "category", "order-channel"].map(id =>
        chart(`overview-revenue-by-${id}`, "quarter", "bars"),
      ),
      table("overview-changes", "full"),
    ],
  },
  {
    id: "segments",
    title: "Segments",
    question: "Who are the customers, and who changed?",
    missing: needs(ANALYSE),
    slicers: () => WHO,
    content: segments,
    why: "Segments are of one day.",
    make: () => [
      ...["customers", "revenue", "repeat-rate", "moved"].map(id => card(`segments-card-${id}`)),
      table("segments-table", "full"),
      chart("segments-shares", "half", "shares"),
      heatMap("segments-rfm-matrix", "half"),
      table("segments-who-moved", "half"),
      chart("segments-sizes", "half", "sizes"),
    ],
  },
  {
    id: "retention",
    title: "Retention",
    question: "Who comes back, how many and how soon?",
    missing: needs(ANALYSE),
    slicers: choice => ["by", LINKED[dimensionOf(choice)], "shown"],
    content: retention,
    why: "This page is of one dimension at a time.",
    make: () => [
      ...["customers", "month-1", "month-3", "month-12"].map(id => card(`retention-card-${id}`)),
      chart("retention-curve", "half", "since_lines"),
      chart("retention-repurchase", "half", "repurchase"),
      heatMap("retention-heat-map", "full"),
      chart("retention-by-value", "half", "bars"),
      chart("retention-revenue-per-customer", "half", "so_far"),
    ],
  },
  {
    id: "churn",
    title: "Churn and revenue",
    question: "What is coming, who is leaving, and whom is it worth contacting?",
    missing: needs(ANALYSE, CHURN),
    slicers: () => SCORED,
    content: churn,
    why: "This page looks ahead from one day.",
    make: () => [
      ...["expected-revenue", "revenue-at-risk", "high-risk", "gone"].map(id => card(`churn-card-${id}`)),
      chart("churn-forecast", "half", "forecast"),
      chart("churn-reasons", "half", "bars"),
      contactList("churn-list", "full"),
      chart("churn-profit-curve", "half", "profit_curve"),
      chart("churn-risk-bands", "half", "bars"),
    ],
  },
  {
    id: "model",
    title: "Model and data quality",
    question: "How far can these figures be trusted?",
    missing: needs(ANALYSE),
    slicers: () => (MISSING[CHURN] ? [] : ["population"]),
    content: model,
    make: () => [
      ...["accuracy", "rule", "majority", "calibration"].map(id => card(`model-card-${id}`)),
      table("model-metrics", "full"),
      chart("model-calibration", "half", "calibration"),
      chart("model-coefficients", "half", "odds"),
      table("model-data-quality", "full"),
      table("model-runs", "full"),
    ],
  },
];

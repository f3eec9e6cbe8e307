"use strict";
// The tables, what slicers leave of them, and what it adds up to. Money is in the smallest unit until it is shown.

const DATA = await unzip(document.getElementById("data").textContent);
const SHOP = DATA.shop;
const MISSING = DATA.missing;
const TABLES = {};
const ANALYSE = "2_data_analysis.py";
const CHURN = "3_churn_model.py";
const OTHER = "Other values";
const UNKNOWN = "Unknown";
const GUESTS = "Guests";
const BANDS = ["low", "medium", "high", "gone"];

function unzip(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// --- tables: a list of rows each ---

for (const [name, columns] of Object.entries(DATA.tables)) {
  const [keys, lists] = [Object.keys(columns), Object.values(columns)];
  const rowAt = place => Object.fromEntries(keys.map((key, n) => [key, lists[n][place]]));
  TABLES[name] = name === "slicers" ? columns : lists[0].map((_, place) => rowAt(place));
}

// The rows of a table that the choices of these slicers leave: {slicer: Set of values, empty where all are wanted}.
function chosen(table, choice, slicers) {
  const active = slicers.filter(name => choice[name] && choice[name].size);
  const rows = TABLES[table] || [];
  return active.length ? rows.filter(row => active.every(name => choice[name].has(row[name]))) : rows;
}

const sum = (rows, column) => rows.reduce((total, row) => total + row[column], 0);
const ratio = (a, b) => (b > 0 ? a / b : null);
const change = (now, before) => (before > 0 ? now / before - 1 : null);

// {key: the sums of these columns}, in the order in which the keys come.
function sumsBy(rows, key, ...columns) {
  const sums = new Map();
  for (const row of rows) {
    if (!sums.has(row[key])) sums.set(row[key], Object.fromEntries(columns.map(name => [name, 0])));
    const of = sums.get(row[key]);
    for (const name of columns) of[name] += row[name];
  }
  return sums;
}

// The largest first; OTHER last.
function largest(sums, column) {
  const place = ([key, of]) => (key === OTHER ? -Infinity : of[column]);
  return [...sums].sort((a, b) => place(b) - place(a));
}

// --- months, as texts: 2025-12-01 ---

const MONTHS = (TABLES.kpis || []).map(row => row.month);
const ENDED = new Set((TABLES.kpis || []).filter(row => row.is_complete).map(row => row.month));

function monthsBefore(month, n) {
  const day = new Date(`${month}T00:00Z`);
  day.setUTCMonth(day.getUTCMonth() - n);
  return day.toISOString().slice(0, 10);
}

const latestOf = months => months.filter(month => ENDED.has(month)).at(-1) || null;
const latestMonth = choice => latestOf(MONTHS.filter(month => !choice.month.size || choice.month.has(month)));

// --- numbers and days in the reader's language ---

const LANGUAGE = navigator.languages || navigator.language;

function moneyFormat(digits, notation) {
  const options = { maximumFractionDigits: digits, minimumFractionDigits: notation ? 0 : digits, ...notation };
  try {
    // a currency that is no code of three letters
    return new Intl.NumberFormat(
      LANGUAGE,
      SHOP.currency ? { style: "currency", currency: SHOP.currency, ...options } : options,
    );
  } catch {
    return new Intl.NumberFormat(LANGUAGE, options);
  }
}

const UNIT = 10 ** SHOP.places;
const WHOLE = moneyFormat(0);
const EXACT = moneyFormat(Math.max(SHOP.places, 2));
const CENTS = moneyFormat(SHOP.places);
const COMPACT = moneyFormat(1, { notation: "compact" });
const MANY = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
const number = digits =>
  new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (digits, sign) =>
  new Intl.NumberFormat(LANGUAGE, {
    style: "percent",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    ...(sign ? { signDisplay: "exceptZero" } : {}),
  });
const day = options => new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", ...options });
const INTEGER = number(0);
const DOUBLINGS = new Intl.NumberFormat(LANGUAGE, {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
});
const TENTHS = number(1);
const THOUSANDTHS = number(3);
const PERCENT = percent(1);
const SHARE = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 1 });
const PLAIN_PERCENT = percent(0);
const SIGNED = percent(1, true);
const MONTH = day({ year: "numeric", month: "short" });
const NAME = day({ month: "short" });
const DAY = day({ year: "numeric", month: "short", day: "numeric" });
const blank = format => value => (value === null || value === undefined ? "" : format(value));

// How each kind of value is written; a value that is not known is blank.
const FORMATS = {
  text: blank(String),
  count: blank(value => INTEGER.format(value)),
  tenths: blank(value => TENTHS.format(value)),
  doublings: blank(value => DOUBLINGS.format(value)),
  metric: blank(value => THOUSANDTHS.format(value)),
  share: blank(value => PERCENT.format(value)),
  percent: blank(value => PLAIN_PERCENT.format(value)),
  change: blank(value => SIGNED.format(value)),
  money: blank(value => WHOLE.format(value / UNIT)),
  cents: blank(value => CENTS.format(value / UNIT)),
  average: blank(value => EXACT.format(value / UNIT)),
  month: blank(value => MONTH.format(new Date(value))),
  name: blank(value => NAME.format(new Date(value))), // of a month that needs no year
  day: blank(value => DAY.format(new Date(value))),
};

// --- what charts of bars show ---

const money = value => value / UNIT;
const titleOf = (known, words, rows, none) =>
  !rows.length ? none : rows.length === 1 && rows[0].label === UNKNOWN ? `${known} are not known` : words;
const barsOf = (list, key, kind, heads) => ({
  rows: list.map(([label, of]) => ({
    label,
    value: kind === "money" ? money(of[key]) : of[key],
    raw: of[key],
    said: FORMATS[kind](of[key]),
  })),
  columns: [
    [heads[0], "label", "text"],
    [heads[1], "raw", kind],
  ],
});

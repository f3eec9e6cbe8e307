// The frame: which page and choices are on, the address that holds them, and what is drawn when they change.

const CHOICES = ["country", "channel", "segment", "band", "month", "first_category", "first_channel"]; // sets of values
const SINGLE = { page: "overview", by: "", shown: "customers", population: "all" }; // one value each
const NAMES = {
  country: "Country",
  channel: "Acquisition channel",
  segment: "Segment",
  band: "Risk band",
  month: "Month",
  first_category: "First category",
  first_channel: "Channel of the first order",
};
const state = {};

// --- the address ---

function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const name of CHOICES)
    state[name] = new Set(found.getAll(name).filter(value => valuesOf(name).includes(value)));
  for (const name of Object.keys(SINGLE)) state[name] = found.get(name) || SINGLE[name];
  if (!PAGES.some(page => page.id === state.page)) state.page = SINGLE.page;
  state.costs = Object.fromEntries(COSTS.map(cost => [cost[0], costOf(found.get(cost[0]), cost)]));
}

function addressOf(page) {
  const words = new URLSearchParams();
  for (const name of Object.keys(SINGLE))
    if ((name === "page" ? page : state[name]) !== SINGLE[name])
      words.append(name, name === "page" ? page : state[name]);
  for (const name of CHOICES) for (const value of state[name]) words.append(name, value);
  for (const [name] of COSTS) if (state.costs[name] !== usualCost(name)) words.append(name, state.costs[name]);
  return `#${words}`;
}

function valuesOf(name) {
  if (name === "month") return MONTHS;
  if (name === "band") return BANDS.filter(band => (TABLES.risks || []).some(row => row.band === band));
  if (TABLES.slicers && TABLES.slicers[name]) return TABLES.slicers[name];
  const kept = (TABLES.cohort_sizes || []).filter(row => row.dimension === name).map(row => row.value);
  return [...kept.filter(value => value !== OTHER), ...kept.filter(value => value === OTHER)];
}

function choose(change) {
  change(state);
  history.replaceState(null, "", addressOf(state.page));
  show();
}

// --- slicers ---

const labelOf = (name, value) => (name === "month" ? FORMATS.month(value) : value);

function slicerOf(name) {
  const summary = el("summary", {});
  const box = el("fieldset", {}, el("legend", {}, NAMES[name]));
  const node = el(
    "details",
    {
      class: "slicer",
      "data-slicer": name,
      keydown: event => {
        if (event.key === "Escape") {
          node.open = false;
          summary.focus();
        }
      },
    },
    summary,
    box,
  );
  const values = valuesOf(name);
  const boxes = (name === "month" ? [...values].reverse() : values).map(value => {
    const input = el("input", {
      type: "checkbox",
      value,
      change: () =>
        choose(s => {
          s[name][input.checked ? "add" : "delete"](value);
        }),
    });
    box.append(el("label", {}, input, el("span", {}, labelOf(name, value))));
    return input;
  });
  return {
    node,
    update() {
      for (const input of boxes) input.checked = state[name].has(input.value);
      const many = state[name].size;
      summary.textContent = `${NAMES[name]}: ${many ? (many === 1 ? labelOf(name, [...state[name]][0]) : `${many} chosen`) : "all"}`;
      node.classList.toggle("on", many > 0);
    },
  };
}

function choiceOf(name, title, options) {
  const select = el(
    "select",
    {
      id: `choice-${name}`,
      change: () =>
        choose(s => {
          s[name] = select.value;
        }),
    },
    ...options.map(([value, text]) => el("option", { value }, text)),
  );
  return {
    node: el("label", { class: "choice" }, `${title} `, select),
    update() {
      select.value = name === "by" ? dimensionOf(state) : state[name];
    },
  };
}

document.addEventListener("click", event => {
  for (const open of document.querySelectorAll(".slicer[open]"))
    if (!open.contains(event.target)) open.open = false;
});

// --- pages ---

const slicers = Object.fromEntries(CHOICES.map(name => [name, slicerOf(name)]));
const selects = {
  by: choiceOf(
    "by",
    "Compare by",
    DIMENSIONS.map(([name, title]) => [name, title]),
  ),
  shown: choiceOf("shown", "Heat map shows", [
    ["customers", "Customers"],
    ["revenue", "Net revenue"],
  ]),
  population: choiceOf(
    "population",
    "Customers tested",
    [...new Set((TABLES.metrics || []).map(row => row.population))].map(name => [name, name]),
  ),
};

function build() {
  const bar = document.getElementById("slicers");
  const main = document.getElementById("content");
  main.replaceChildren();
  document.getElementById("state").textContent = stateLine();
  bar.append(
    ...Object.values(slicers).map(each => each.node),
    ...Object.values(selects).map(each => each.node),
    el(
      "button",
      {
        type: "button",
        id: "reset",
        click: () =>
          choose(s => {
            for (const name of CHOICES) s[name].clear();
            Object.assign(s, { ...SINGLE, page: s.page });
            s.costs = usualCosts();
          }),
      },
      "Reset all slicers",
    ),
  );
  bar.addEventListener("submit", event => event.preventDefault());
  for (const page of PAGES) {
    page.link = el("a", {}, page.title);
    document.getElementById("pages").append(el("li", {}, page.link));
    const insight = el("p", { class: "insight", "aria-live": "polite" });
    const left = el("p", { class: "note left" });
    const chosen = el("p", { class: "note chosen" });
    page.parts = page.missing() ? [] : page.make();
    page.node = el(
      "article",
      { id: page.id, class: "page", "aria-labelledby": `${page.id}-question` },
      el("h2", { id: `${page.id}-question` }, page.question),
      page === PAGES[0] ? "" : el("p", { class: "note paper" }, stateLine()), // the first has it above
      insight,
      left,
      chosen,
      el("div", { class: "grid" }, ...page.parts.map(each => each.node)),
    );
    page.say = (words, out) => {
      insight.textContent = words;
      left.textContent = out;
      left.hidden = !out;
      chosen.textContent = chosenWords(page);
    };
    main.append(page.node);
  }
  document.body.append(TIP);
  document.querySelector(".skip").addEventListener("click", event => {
    event.preventDefault();
    main.focus();
  });
}

const slicersOf = page => (page.missing() ? [] : page.slicers(state));

async function update(page) {
  page.stale = false;
  if (page.missing()) return page.say(page.missing(), "");
  const { words, parts } = page.content(state);
  page.say(words, leftOut(page));
  page.parts.forEach((part, n) => (part.node.hidden = !parts[n]));
  await Promise.all(page.parts.map((part, n) => parts[n] && part.update(parts[n])));
}

// Show the page that is chosen; the others follow when there is time, so that all can be printed.
async function show() {
  delete document.body.dataset.ready;
  for (const page of PAGES) {
    const isOn = page.id === state.page;
    page.node.classList.toggle("on", isOn);
    page.link.href = addressOf(page.id);
    isOn ? page.link.setAttribute("aria-current", "page") : page.link.removeAttribute("aria-current");
    page.stale = true;
  }
  const now = PAGES.find(page => page.id === state.page);
  for (const [name, each] of Object.entries({ ...slicers, ...selects })) {
    each.node.hidden = !slicersOf(now).includes(name);
    each.update();
  }
  document.title = `${now.title} · ${SHOP.shop || "E-Commerce Pulse"}`;
  await update(now);
  document.body.dataset.ready = state.page;
  setTimeout(updateStale);
}

async function updateStale() {
  const page = PAGES.find(each => each.stale);
  if (!page) return (document.body.dataset.ready += " all");
  await update(page);
  setTimeout(updateStale);
}

readAddress();
build();
show();
addEventListener("hashchange", () => {
  readAddress();
  show();
  document.getElementById("content").focus({ preventScroll: true });
  scrollTo(0, 0);
});

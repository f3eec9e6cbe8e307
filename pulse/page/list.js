// The contact list: what a contact costs and brings as inputs, a search, a table to sort, a file to take away.

const LIST_COLUMNS = [
  ["Rank", "rank", "count"],
  ["Customer", "id", "text"],
  ["Segment", "segment", "text"],
  ["Risk", "band", "text"],
  ["Churn probability", "probability", "share"],
  ["Net revenue at risk", "at_risk", "money"],
  ["Profit of a contact", "profit", "average"],
  ["Main reason", "reason", "text"],
];
const IN_FILE = [...LIST_COLUMNS.map(([, key]) => key), "second", "country", "channel"];
const MOST_SHOWN = 500;

function contactList(id, size) {
  const wrong = el("p", { class: "note left", role: "alert" });
  const inputs = COSTS.map(([name, words, step, most]) => {
    const input = el("input", {
      type: "number",
      id: `cost-${name}`,
      min: "0",
      max: most === 1 ? "1" : null,
      step: `${step}`,
      change: () => {
        const fits = isCost(input.value, most);
        wrong.textContent = fits ? "" : `${words} has to be ${limitsOf(most)}: nothing was changed.`;
        if (fits) choose(s => (s.costs[name] = Number(input.value)));
        else input.value = content.costs[name];
      },
    });
    return [name, input, el("label", {}, `What if: ${words.toLowerCase()}${most === 1 ? " (0 to 1)" : ""} `, input)];
  });
  const back = el(
    "button",
    {
      type: "button",
      click: () =>
        choose(s => {
          s.costs = usualCosts();
        }),
    },
    "Costs as script 3 has them",
  );
  const search = el("input", { type: "search", id: "search", input: fill });
  const found = el("p", { class: "note", "aria-live": "polite" });
  const take = el("button", { type: "button", click: download }, "Download as CSV");
  const place = el("div", {
    class: "scroll tall",
    tabindex: "0",
    role: "group",
    "aria-labelledby": `${id}-title`,
  });
  const tools = el("div", { class: "tools" }, el("label", {}, "Search ", search), take);
  const { node, name } = frameOf(
    id,
    size,
    el("div", { class: "tools" }, ...inputs.map(([, , label]) => label), back),
    wrong,
    tools,
    found,
    place,
  );
  let content = null,
    sorted = ["rank", 1];

  function rowsShown() {
    const words = search.value.trim().toLowerCase();
    const [key, way] = sorted;
    const listed = content.rows
      .slice(0, MOST_SHOWN)
      .filter(
        row =>
          !words ||
          ["id", "segment", "band", "reason", "country"].some(key =>
            `${row[key] || ""}`.toLowerCase().includes(words),
          ),
      );
    const compare = (a, b) => (typeof a === "number" ? a - b : `${a || ""}`.localeCompare(`${b || ""}`));
    return listed.sort((a, b) => way * compare(a[key], b[key]) || a.rank - b.rank);
  }

  function sortBy(key) {
    sorted = [key, sorted[0] === key ? -sorted[1] : 1];
    fill();
    [...place.querySelectorAll("th button")].find(button => button.dataset.key === key).focus();
  }

  function fill() {
    const rows = rowsShown();
    const made = tableOf(content.title, rows, LIST_COLUMNS);
    [...made.querySelectorAll("thead th")].forEach((head, n) => {
      const [words, key] = LIST_COLUMNS[n];
      head.replaceChildren(el("button", { type: "button", "data-key": key, click: () => sortBy(key) }, words));
      if (key === sorted[0]) head.setAttribute("aria-sort", sorted[1] > 0 ? "ascending" : "descending");
    });
    found.textContent = search.value ? `${people(rows.length)} found` : "";
    place.replaceChildren(made);
  }

  function download() {
    const quoted = value => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const plain = (row, key) =>
      ["at_risk", "profit"].includes(key)
        ? (row[key] / UNIT).toFixed(SHOP.places)
        : `${row[key] === null ? "" : row[key]}`;
    const lines = [IN_FILE, ...rowsShown().map(row => IN_FILE.map(key => plain(row, key)))].map(line =>
      line.map(quoted).join(","),
    );
    const address = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    el("a", { href: address, download: "contacts.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  return {
    node,
    update(next) {
      const many =
        next.contact > next.rows.length
          ? `${FORMATS.count(Math.min(next.rows.length, MOST_SHOWN))} of `
          : next.contact > MOST_SHOWN
            ? `${MOST_SHOWN} of `
            : "";
      const title = !next.predicted
        ? "No customers in this choice"
        : next.contact
          ? `Whom to contact, best first: ${many}${next.approximate ? "about " : ""}${people(next.contact)}`
          : CAN_RANK
            ? "Contacting nobody pays with these costs"
            : "Contact nobody: the model ranks no better than chance";
      const large = TABLES.bins
        ? "Of a shop of so many customers the 500 best are listed; with other costs, how many and their worth are approximate. "
        : "";
      content = {
        ...next,
        title,
        note: next.contact
          ? `${large}Worth ${next.approximate ? "about " : ""}${FORMATS.money(next.worth)}${next.approximate ? " (approximate)" : ""}.`
          : large,
      };
      name(content);
      wrong.textContent = "";
      for (const [key, input] of inputs) if (document.activeElement !== input) input.value = next.costs[key];
      back.hidden = !isChanged(next.costs);
      tools.hidden = place.hidden = !next.contact;
      if (next.contact) fill();
    },
  };
}

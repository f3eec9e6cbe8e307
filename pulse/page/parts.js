// What pages are made of. Each part is {node, update(content)}; every text is set as text, never as HTML.

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false && value !== undefined)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

const isNumeric = kind => !["text", "month", "day"].includes(kind);

// A value as text; of a number also what it is for machines.
function figure(value, kind) {
  const text = FORMATS[kind](value);
  if (!isNumeric(kind) || !text) return text.length > 80 ? el("span", { class: "clip" }, text) : text;
  const raw = ["money", "cents", "average"].includes(kind) ? value / UNIT : value;
  return el("data", { value: raw }, text);
}

// --- what hovering, or the keyboard, says ---

const TIP = el("div", { id: "tip", hidden: true });

function showTip(text, x, y) {
  TIP.textContent = text;
  TIP.hidden = !text;
  TIP.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - TIP.offsetWidth - 8))}px`;
  TIP.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - TIP.offsetHeight - 8))}px`;
}

// --- tables; a column is [heading, key, format] ---

function tableOf(caption, rows, columns, attributes = {}) {
  const heads = columns.map(([name, , kind]) =>
    el("th", { scope: "col", class: isNumeric(kind) ? "n" : null }, name),
  );
  const body = rows.map(row =>
    el(
      "tr",
      {},
      ...columns.map(([, key, kind], n) =>
        el(
          n ? "td" : "th",
          { scope: n ? null : "row", class: isNumeric(kind) ? "n" : null },
          figure(row[key], kind),
        ),
      ),
    ),
  );
  return el(
    "table",
    attributes,
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads)),
    el("tbody", {}, ...body),
  );
}

// --- parts ---

function frameOf(id, size, ...children) {
  const title = el("h3", { id: `${id}-title` });
  const note = el("p", { class: "note" });
  const node = el(
    "section",
    { id, class: `part ${size}`, "aria-labelledby": `${id}-title` },
    title,
    note,
    ...children,
  );
  return {
    node,
    name(content) {
      title.textContent = content.title;
      note.textContent = content.note || "";
      note.hidden = !content.note;
    },
  };
}

function card(id) {
  const name = el("h3", {});
  const value = el("p", { class: "figure" });
  const note = el("p", { class: "note" });
  const node = el("section", { id, class: "part card" }, name, value, note);
  return {
    node,
    update(content) {
      name.textContent = content.title;
      value.replaceChildren(figure(content.value, content.kind) || "–");
      note.textContent = content.note || "";
    },
  };
}

function table(id, size) {
  const place = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-labelledby": `${id}-title` });
  const { node, name } = frameOf(id, size, place);
  return {
    node,
    update(content) {
      name(content);
      place.hidden = !content.rows.length;
      place.replaceChildren(tableOf(content.title, content.rows, content.columns));
    },
  };
}

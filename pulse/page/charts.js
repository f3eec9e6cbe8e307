// Parts that draw: charts, with their tables behind them, and grids of shaded cells.

const SPECS = JSON.parse(document.getElementById("specs").textContent);
// the formats of the charts' axes
const AXES = {
  amount: value => COMPACT.format(value),
  many: value => MANY.format(value),
  share: value => SHARE.format(value),
  month: FORMATS.month,
  whole: FORMATS.count,
};

function chart(id, size, spec) {
  const plot = el("div", { class: "plot", role: "img" });
  const place = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" });
  const behind = el("details", { toggle: () => fillTable() }, el("summary", {}, "Show as table"), place);
  const { node, name } = frameOf(id, size, plot, behind);
  let view = null,
    content = null,
    waiting = null;
  const fillTable = () =>
    place.replaceChildren(...(behind.open && content ? [tableOf(content.title, content.rows, content.columns)] : []));
  // the height of a row, where a chart grows with them, and the most of its width that their labels take
  const { step, labels = 0.2 } = SPECS[spec].usermeta || {};
  const rowsNow = () =>
    content.rows.map((row, nth) => ({
      ...row,
      nth,
      x: typeof row.x === "string" ? Date.parse(row.x) : row.x,
      tip: content.columns.map(([title, key, kind]) => `${title}: ${FORMATS[kind](row[key])}`).join("\n"),
    }));

  async function draw() {
    const options = {
      actions: false,
      renderer: "svg",
      ast: true,
      mode: "vega-lite",
      defaultStyle: false,
      expressionFunctions: AXES,
      tooltip: (_, event, item, text) => showTip(text || "", event.clientX, event.clientY),
    };
    const drawn = structuredClone(SPECS[spec]);
    const share = plot.clientWidth < 420 ? Math.min(labels, 0.42) : labels;
    drawn.config.axisY = { labelLimit: Math.round(plot.clientWidth * share) };
    drawn.config.legend.columns = Math.max(1, Math.floor(plot.clientWidth / 180));
    if (content.kinds) drawn.encoding.color.scale.domain = content.kinds;
    const height = step ? { height: step * content.rows.length } : {};
    ({ view } = await vegaEmbed(plot, { ...drawn, ...height, datasets: { rows: rowsNow() } }, options));
    plot.querySelector("svg").setAttribute("aria-hidden", "true"); // the plot's label and the table say what it shows
  }

  async function fill() {
    if (!view) return draw();
    if (step) view.height(step * content.rows.length);
    await view.data("rows", rowsNow()).resize().runAsync();
  }

  return {
    node,
    update(next) {
      content = next;
      name(content);
      plot.setAttribute("aria-label", `${content.title}. Its figures are in the table that follows.`);
      plot.hidden = behind.hidden = !content.rows.length;
      fillTable();
      if (content.rows.length) waiting = (waiting || Promise.resolve()).then(fill);
      return waiting;
    },
  };
}

// A grid of shaded cells: {title, corner, heads, rows: [{label, cells: [{value, kind, tip}]}]}. Arrow keys move in it.
function heatMap(id, size) {
  const place = el("div", { class: "wide", keydown: move });
  const { node, name } = frameOf(id, size, place);

  function move(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("td");
    if (event.key === "Escape") showTip("", 0, 0);
    if (!step || !cell) return;
    const row = [...place.querySelectorAll("tbody tr")][cell.parentNode.rowIndex - 1 + step[0]];
    const next = row && row.cells[cell.cellIndex + step[1]];
    event.preventDefault();
    if (next && next.tagName === "TD" && next.dataset.tip) {
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  }

  const leave = () => showTip("", 0, 0);
  function cellOf(cell, [least, most], isFirst) {
    if (!cell) return el("td", { role: "gridcell" });
    const node = el(
      "td",
      {
        role: "gridcell",
        tabindex: isFirst ? "0" : "-1",
        "data-tip": cell.tip,
        "aria-label": `${FORMATS[cell.kind](cell.value)}: ${cell.tip}`,
        blur: leave,
        mouseleave: leave,
        mousemove: event => showTip(cell.tip, event.clientX, event.clientY),
        focus: () => {
          const box = node.getBoundingClientRect();
          showTip(cell.tip, box.left, box.bottom);
        },
      },
      figure(cell.value, cell.kind),
    );
    node.style.setProperty("--shade", most > least ? 0.08 + (0.92 * (cell.value - least)) / (most - least) : 0.5);
    return node;
  }

  return {
    node,
    update(content) {
      name(content);
      const values = content.rows.flatMap(row => row.cells.filter(Boolean).map(cell => cell.value));
      const scale = [Math.min(...values), Math.max(...values)];
      let seen = 0;
      const rows = content.rows.map(row =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, row.label),
          ...row.cells.map(cell => cellOf(cell, scale, cell && !seen++)),
        ),
      );
      const heads = [content.corner, ...content.heads].map(head => el("th", { scope: "col" }, head));
      place.hidden = !content.rows.length;
      place.replaceChildren(
        el(
          "table",
          { class: "heat", role: "grid", "aria-label": content.title },
          el("thead", {}, el("tr", {}, ...heads)),
          el("tbody", {}, ...rows),
        ),
      );
    },
  };
}

"use strict";
// Tables: a head sorts by its column, numbers largest first, again turns the order round; cells without a key stay last.
const keyOf = (row, j) => row.cells[j].dataset.key ?? row.cells[j].textContent;
function sortTable(th) {
  const table = th.closest("table"), j = th.cellIndex, rows = [...table.tBodies[0].rows];
  const numbers = rows.map(row => keyOf(row, j)).filter(key => key !== "").every(key => !isNaN(key));
  const turned = {ascending: "descending", descending: "ascending"};
  const order = turned[th.getAttribute("aria-sort")] ?? (numbers ? "descending" : "ascending");
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [x, y] = [a, b].map(row => keyOf(row, j));
    if (x === "" || y === "") return (x === "") - (y === "");
    const [p, q] = [Number(x), Number(y)];
    if (!isNaN(p) && !isNaN(q)) return sign * (p - q);
    if (isNaN(p) !== isNaN(q)) return isNaN(p) - isNaN(q);
    return sign * x.localeCompare(y, "en", {numeric: true});
  };
  table.tBodies[0].append(...rows.sort(compare));
  for (const other of th.parentNode.cells) other.setAttribute("aria-sort", other === th ? order : "none");
}
document.addEventListener("click", event => {
  const th = event.target.closest("th[aria-sort]");
  if (th) sortTable(th);
});

// Columns that have no room are hidden, the largest data-rank first, until the table fits; a button shows them all.
function showColumns(table, shown) {
  for (const row of table.rows) [...row.cells].forEach((cell, j) => { cell.hidden = !shown[j]; });
}
function fit(table) {
  const box = table.closest(".scroll"), heads = [...table.tHead.rows[0].cells];
  if (!box.clientWidth || matchMedia("print").matches) return;  // on paper every column would seem to fit
  const shown = heads.map(() => true), all = box.dataset.all === "true";
  const late = heads.map((head, j) => [Number(head.dataset.rank), j]).sort((a, b) => b[0] - a[0]);
  box.classList.remove("fits");
  showColumns(table, shown);
  const wide = box.scrollWidth > box.clientWidth;
  while (!all && box.scrollWidth > box.clientWidth && late.length > 2) {
    shown[late.shift()[1]] = false;
    showColumns(table, shown);
  }
  for (const row of table.tBodies[0].rows) {  // what tells races apart must not go with its column
    const where = heads.filter((head, j) => "where" in head.dataset && !shown[j])
      .map(head => row.cells[head.cellIndex].textContent).filter(text => text !== "—");
    if (where.length) row.cells[0].dataset.where = where.join(", ").replaceAll("+", "+\u200b");
    else delete row.cells[0].dataset.where;
  }
  box.classList.toggle("fits", box.scrollWidth <= box.clientWidth);
  const hidden = shown.filter(is => !is).length;
  let button = box.nextElementSibling?.matches("button.more") ? box.nextElementSibling : null;
  if (!button) {
    button = document.createElement("button");
    button.className = "more";
    button.type = "button";
    box.after(button);
  }
  button.hidden = !wide;
  button.setAttribute("aria-expanded", String(all));
  button.textContent = all ? "Show only the columns that fit" : `Show ${hidden} more column${hidden > 1 ? "s" : ""}`;
}
const sortable = [...document.querySelectorAll(".scroll > table")].filter(table => table.querySelector("[data-rank]"));
const fitAll = () => sortable.forEach(fit);
document.addEventListener("click", event => {
  if (!event.target.matches("button.more")) return;
  const box = event.target.previousElementSibling;
  box.dataset.all = String(box.dataset.all !== "true");
  fit(box.querySelector("table"));
});
document.addEventListener("toggle", event => event.target.querySelectorAll?.(".scroll > table").forEach(table => {
  if (sortable.includes(table)) fit(table);
}), true);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) fitAll();
  width = innerWidth;
});
fitAll();

// Charts: pickers and legend of a block set signals of its charts; element.view is the Vega view.
function setSignal(block, name, value) {
  for (const chart of block.querySelectorAll(".chart"))
    if (chart.view && name in chart.view.getState().signals) chart.view.signal(name, value).runAsync();
}
document.addEventListener("input", event => {
  const control = event.target, name = control.dataset.signal;
  if (!name) return;
  const text = control.type === "range" ? control.dataset.values.split(" ")[control.value] : control.value;
  if (control.type === "range") control.nextElementSibling.textContent = text;
  setSignal(control.closest(".block"), name, JSON.parse(text));
});
document.addEventListener("click", event => {
  const button = event.target.closest(".legend button");
  if (!button) return;
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  const off = button.parentNode.querySelectorAll('[aria-pressed="false"]');
  setSignal(button.closest(".block"), "hidden", [...off].map(item => item.dataset.method));
});
const config = {background: "transparent", font: getComputedStyle(document.body).fontFamily, view: {stroke: null},
  axis: {labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.6, titlePadding: 8},
  axisXQuantitative: {tickCount: {expr: "max(2, floor(width / 80))"}, labelFlush: false, labelOverlap: "greedy"},
  legend: {labelFontSize: 12, titleFontSize: 12}, rule: {color: "#000000"}, text: {fontSize: 12}};
// A tooltip's lines, without those that have no value (an interval that was not computed).
function tip(value, sanitize) {
  if (typeof value !== "object") return sanitize(value);
  const lines = Object.entries(value).filter(([, text]) => !["", "null", "NaN", "undefined"].includes(String(text)));
  return `<table>${lines.map(([name, text]) =>
    `<tr><td class="key">${sanitize(name)}:</td><td class="value">${sanitize(text)}</td></tr>`).join("")}</table>`;
}
const specs = JSON.parse(document.getElementById("specs").textContent);
const drawn = Object.entries(specs).map(([id, spec]) => {
  const element = document.getElementById(id);
  return vegaEmbed(element, spec, {mode: "vega-lite", renderer: "svg", actions: false, config,
    tooltip: {formatTooltip: tip, theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"},
    logLevel: 1})  // Vega also warns of its own defaults
    .then(result => { element.view = result.view; });
});
Promise.all(drawn).then(() => { document.documentElement.dataset.drawn = "true"; });

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.open-in-print")) details.open = true;
  // Paper takes as many columns as a screen of this width: its letters are that much smaller.
  document.body.style.cssText = "width: 1500px; max-width: none";
  fitAll();
  document.body.style.cssText = "";
});
addEventListener("afterprint", fitAll);

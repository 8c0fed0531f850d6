"use strict";
// Tables: a head sorts by its column, again turns the order round; cells without a key stay last.
function sortTable(th) {
  const table = th.closest("table"), j = th.cellIndex;
  const order = th.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [x, y] = [a, b].map(row => row.cells[j].dataset.key ?? row.cells[j].textContent);
    if (x === "" || y === "") return (x === "") - (y === "");
    const [p, q] = [Number(x), Number(y)];
    if (!isNaN(p) && !isNaN(q)) return sign * (p - q);
    if (isNaN(p) !== isNaN(q)) return isNaN(p) - isNaN(q);
    return sign * x.localeCompare(y, "en", {numeric: true});
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const other of th.parentNode.cells) other.setAttribute("aria-sort", other === th ? order : "none");
}
document.addEventListener("click", event => {
  const th = event.target.closest("th[aria-sort]");
  if (th) sortTable(th);
});

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
  legend: {labelFontSize: 12, titleFontSize: 12}, text: {fontSize: 12}};
const specs = JSON.parse(document.getElementById("specs").textContent);
const drawn = Object.entries(specs).map(([id, spec]) => {
  const element = document.getElementById(id);
  return vegaEmbed(element, spec, {mode: "vega-lite", renderer: "svg", actions: false, config,
    logLevel: 1})  // Vega also warns of its own defaults
    .then(result => { element.view = result.view; });
});
Promise.all(drawn).then(() => { document.documentElement.dataset.drawn = "true"; });

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.open-in-print")) details.open = true;
});

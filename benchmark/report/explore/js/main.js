// The page: a view is settled from what is wanted, then everything shows it.

const SPECS = JSON.parse(document.getElementById("specs").textContent);
let view = settle(fromAddress());
let chosen = null; // the point that a reader pointed at
let shown = null;
let pending = Promise.resolve();
let pointing = Promise.resolve();

// Drawings one after another: a later one must not be overtaken by an earlier one.
function show() {
  drawControls(view);
  fill("answer", answer(view));
  fill("main-caption", [mainCaption(view)]);
  fill("main-data", mainTable(view));
  pending = pending.then(drawFigures).catch((error) => console.error(error));
  return pending;
}

async function drawFigures() {
  document.documentElement.dataset.theme = theme();
  const points = pointsOf(view, theme());
  const drawn = await draw("main-plot", mainSpec(view, theme(), points));
  const look = (_, item) => item?.mark.marktype === "symbol" && item.datum.id && choosePoint(item.datum.id, drawn);
  drawn.addEventListener("pointerover", look);
  drawn.addEventListener("click", look);
  const board = boardOf(view);
  fill("board-caption", board.length ? [boardCaption(board)] : []);
  await drawRanks("board", board, boardTable);
  await drawRanks("ranks", ranksOf(view), (rows) => rankTable(view, rows));
  const ids = points.map((point) => point.id);
  const here = points.filter((point) => point.rival && point.budget === view.state.budget);
  const best = here.sort((a, b) => b.accuracy - a.accuracy)[0];
  const start = [chosen, best?.id, ids[0]].find((id) => ids.includes(id));
  fill("pick", start ? [pointList(points, start)] : []);
  document.getElementById("point")?.addEventListener("change", (event) => choosePoint(event.target.value, drawn));
  document.getElementById("detail").hidden = !start;
  if (start) await showPoint(start, drawn);
}

function choosePoint(id, drawn) {
  chosen = id;
  return showPoint(id, drawn);
}

function showPoint(id, drawn) {
  shown = id;
  pointing = pointing.then(() => (id === shown ? drawPoint(id, drawn) : null)).catch((error) => console.error(error));
  return pointing;
}

async function drawPoint(id, drawn) {
  const row = view.rows.find((one) => pointId(one) === id);
  drawn.signal("chosen", id).runAsync();
  document.getElementById("point").value = id;
  fill("detail-name", [`${methodLabel(row.method, row.variant)} at ${percent(row.budget)}`]);
  fill("detail-row", [detail(view, row)]);
  const layers = layersOf(view, row);
  document.getElementById("layers").hidden = !layers.length;
  if (layers.length) {
    fill("layers-data", layerTable(layers));
    await draw("layers-plot", layersSpec(layers));
  }
}

// Another budget asks about other points; else the point that was chosen stays.
function change() {
  const before = view.state.budget;
  view = settle(fromControls());
  if (view.state.budget !== before) chosen = null;
  toAddress(view.state);
  return show();
}

// Long parts are printed whole, and are as they were afterwards.
function unfold() {
  for (const part of document.querySelectorAll("details.long:not([open])")) {
    part.open = true;
    part.dataset.unfolded = "";
  }
}

function fold() {
  for (const part of document.querySelectorAll("details[data-unfolded]")) {
    part.open = false;
    delete part.dataset.unfolded;
  }
}

document.getElementById("explore").hidden = false;
document.getElementById("explore").addEventListener("change", (event) => event.target.form && change());
addEventListener("hashchange", () => {
  if (!location.hash.includes("=")) return;
  view = settle(fromAddress());
  show();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
addEventListener("beforeprint", unfold);
addEventListener("afterprint", fold);
document.querySelectorAll("section.suite table.numbers").forEach((table, at) => {
  enhance(table, `${table.closest("section.suite").id}-${at + 1}`);
});
document.querySelectorAll("details[data-figure]").forEach(offerSource);
await show();
document.documentElement.dataset.ready = "";

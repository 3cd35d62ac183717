// The answer, made by rule from the rows at one budget.

function answer(view) {
  const rivals = view.rows.filter((row) => row.budget === view.state.budget && row.rival);
  const group = rivals.filter((row) => row.mark !== "").sort((a, b) => b.accuracy - a.accuracy);
  if (!group.length) return [el("p", { class: "says" }, "No method has results here.")];
  return [
    el("p", { class: "says" }, verdict(view, rivals, group)),
    el("div", { class: "scroll" }, answerTable(view, group)),
    el("p", { class: "unknown" }, unknown(view, rivals, group)),
  ];
}

function verdict(view, rivals, group) {
  const names = group.map((row) => methodLabel(row.method, row.variant));
  if (view.suite.few) return `${names[0]} has the best mean; nothing is told apart with ${seeds(view)}.`;
  if (rivals.length === 1) return `${names[0]} is the only method here.`;
  if (group.length === 1) return `${names[0]} is ahead of every other method.`;
  const rest = rivals.length - group.length;
  const behind = rest ? `${rest} of ${rivals.length} methods ${rest === 1 ? "is" : "are"} behind.` : "No method is behind.";
  return `${listing(names)} are not told apart from the best. ${behind}`;
}

function answerTable(view, group) {
  const heads = ["method", "accuracy, %", "behind the best, points", "vs whole network, points", "cost of finding it"];
  const rows = group.map((row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, swatch(DATA.methods[row.method]), methodLabel(row.method, row.variant)),
      ...cells(heads, [
        withHalf(row.accuracy, row.half),
        row.mark === "best" ? "best mean" : withHalf(row.behind, row.behind_half),
        row.lost === null ? "–" : withHalf(-row.lost, row.lost_half, signed),
        searchCost(view, row),
      ]),
    ),
  );
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  return el("table", { class: "answer" }, el("thead", {}, head), el("tbody", {}, ...rows));
}

// A cell knows its head: on a phone it stands before it.
function cells(heads, texts) {
  return texts.map((text, at) => el("td", { "data-head": heads[at + 1] }, text));
}

// Pretraining that a method needs and its search, in pretrainings where any method has one.
function searchCost(view, row) {
  const spent = row.pretrain_flops + row.search_flops;
  const once = Math.max(...view.every.map((other) => other.pretrain_flops));
  if (!spent) return "none";
  return once ? `${Number((spent / once).toPrecision(2))} × training the network` : `${count(spent)}FLOP`;
}

function unknown(view, rivals, group) {
  const elsewhere = "what another network, source or task would give";
  if (view.suite.few) return `Not known: whether any difference would last, as ${seeds(view)} give no interval, and ${elsewhere}.`;
  const halves = rivals.map((row) => row.behind_half).filter((half) => half !== null).sort((a, b) => a - b);
  const middle = halves.length ? (100 * halves[Math.floor(halves.length / 2)]).toFixed(1) : null;
  const seen = middle ? `with ${seeds(view)} a difference below about ${middle} points is not seen here` : "";
  const caution = `nothing is corrected for having picked the best of ${rivals.length}`;
  if (group.length > 1) return `Not known: which of these is better (${seen}; ${caution}), and ${elsewhere}.`;
  return `Not known: ${elsewhere}${seen ? ` (${seen}; ${caution})` : ""}.`;
}

function seeds(view) {
  return plural(view.suite.seeds.length, "search seed");
}

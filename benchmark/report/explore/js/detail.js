// One point in full: its row, and what is kept of every layer.

function detail(view, row) {
  const facts = [
    ["accuracy", `${withHalf(row.accuracy, row.half)} %`],
    ["95 % interval", row.half === null ? "–" : `${percent(row.accuracy - row.half)} to ${percent(row.accuracy + row.half)}`],
    [plural(row.seeds, "seed"), row.by_seed.filter((value) => value !== null).map((value) => (100 * value).toFixed(1)).join(", ")],
    ["against the whole network", row.lost === null ? "–" : `${withHalf(-row.lost, row.lost_half, signed)} points`],
    ["kept", `${percent(row.complexity)} of ${said("cost", view.state.cost)} (budget ${percent(row.budget)})`],
    ["size", `${count(row.params)} parameters, ${count(row.macs)} MACs`],
    ["cost of finding it", searchCost(view, row)],
    ["total compute", `${count(total(row))}FLOP`],
  ];
  const list = facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("dl", { class: "facts" }, ...list);
}

function layersOf(view, row) {
  const columns = view.suite.layers[view.state.cost];
  const same = ["granularity", "method", "variant", "budget"];
  return records(columns).filter((layer) => same.every((key) => layer[key] === row[key]));
}

function layersSpec(rows) {
  const spec = structuredClone(SPECS.layers);
  spec.datasets = {
    layers: rows.map((row) => ({
      ...row,
      share: row.kept / row.size,
      low: row.kept_min / row.size,
      high: row.kept_max / row.size,
      "kept of": `${Number(row.kept.toPrecision(3))} of ${row.size} (${row.kept_min} to ${row.kept_max})`,
    })),
  };
  return spec;
}

// The list of points, for those who do not point at them.
function pointList(points, chosen) {
  const options = points.map((point) =>
    el("option", { value: point.id, selected: point.id === chosen }, `${point.name}, ${percent(point.budget)}`),
  );
  return el("label", { class: "choice" }, el("span", {}, "Point"), el("select", { id: "point" }, ...options));
}

// The data of the figures that are drawn here.

function mainTable(view) {
  const rows = view.rows.filter((row) => view.state.variants || row.rival || row.variant === "");
  const name = [view.state.suite, view.state.cost, view.state.measure, view.state.granularity].join("-");
  return recordTable(name, rows, {
    method: [(row) => methodLabel(row.method, row.variant)],
    budget: [(row) => percent(row.budget), (row) => row.budget],
    kept: [(row) => percent(row.complexity), (row) => row.complexity],
    "accuracy, %": [(row) => withHalf(row.accuracy, row.half), (row) => row.accuracy],
    "behind the best": [(row) => (row.mark === "best" ? "best" : withHalf(row.behind, row.behind_half)), (row) => row.behind],
    "told apart": [(row) => ({ best: "best", unresolved: "no" })[row.mark] ?? (row.rival ? "yes" : "–")],
    "against whole": [(row) => (row.lost === null ? "–" : withHalf(-row.lost, row.lost_half, signed)), (row) => row.lost && -row.lost],
    parameters: [(row) => count(row.params), (row) => row.params],
    MACs: [(row) => count(row.macs), (row) => row.macs],
    "finding, FLOP": [(row) => count(row.pretrain_flops + row.search_flops), (row) => row.pretrain_flops + row.search_flops],
    "total, FLOP": [(row) => count(total(row)), total],
    seeds: [(row) => String(row.seeds), (row) => row.seeds],
  });
}

function layerTable(rows) {
  const first = rows[0];
  const name = first ? `layers-${first.method}${first.variant && `-${first.variant}`}-${first.budget}` : "layers";
  return recordTable(name, rows, {
    layer: [(row) => `${row.layer} ${row.group}`, (row) => row.layer],
    kept: [(row) => String(Number(row.kept.toPrecision(4))), (row) => row.kept],
    smallest: [(row) => String(row.kept_min), (row) => row.kept_min],
    largest: [(row) => String(row.kept_max), (row) => row.kept_max],
    of: [(row) => String(row.size), (row) => row.size],
  });
}

function boardTable(rows) {
  const others = Object.keys(Object.assign({}, ...rows.map((row) => row.wins)));
  const flat = rows.map(({ wins, left_out, ...row }) => ({
    ...row,
    ...Object.fromEntries(others.map((other) => [`wins_against_${other}`, wins[other] ?? null])),
  }));
  const beside = others.map((other) => {
    const won = (row) => row[`wins_against_${other}`];
    return [`wins against ${methodLabel(other)}`, [(row) => (won(row) === null ? "–" : percent(won(row))), won]];
  });
  return recordTable("leaderboard", flat, {
    method: [(row) => methodLabel(row.method, row.variant)],
    "mean rank": [(row) => row.rank.toFixed(2), (row) => row.rank],
    "95 % interval": [(row) => `${row.low.toFixed(2)} to ${row.high.toFixed(2)}`, (row) => row.low],
    "told apart from the best": [(row) => (row.apart ? "yes" : "no")],
    ...Object.fromEntries(beside),
  });
}

function rankTable(view, rows) {
  return recordTable(`ranks-${view.state.suite}`, rows, {
    method: [(row) => methodLabel(row.method, row.variant)],
    "mean rank": [(row) => row.rank.toFixed(2), (row) => row.rank],
    "95 % interval": [(row) => (row.low === null ? "–" : `${row.low.toFixed(2)} to ${row.high.toFixed(2)}`), (row) => row.low],
    "told apart from the best": [(row) => (row.apart ? "yes" : "no")],
    places: [(row) => String(row.places), (row) => row.places],
    seeds: [(row) => String(row.seeds), (row) => row.seeds],
  });
}

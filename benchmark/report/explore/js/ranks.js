// Ranks of the methods over all tasks, budgets and numbers of examples of a suite.

function ranksOf(view) {
  return records(view.slice.ranks).filter((row) => row.granularity === view.state.granularity);
}

function ranksSpec(rows, theme) {
  const spec = structuredClone(SPECS.ranks);
  spec.height = 30 * rows.length;
  spec.datasets = {
    ranks: rows.map((row) => ({
      ...row,
      name: methodLabel(row.method),
      colour: DATA.methods[row.method][theme],
      shape: DATA.methods[row.method].shape,
      "mean rank": row.rank.toFixed(2),
      "told apart from the best": row.apart ? "yes" : "no",
    })),
  };
  leaveOut(spec, { interval: !withInterval(rows) });
  return spec;
}

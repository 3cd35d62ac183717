// Ranks of the methods: over the tasks, budgets and numbers of examples of a suite, and over all suites.

function ranksOf(view) {
  return records(view.slice.ranks).filter((row) => row.granularity === view.state.granularity);
}

function boardOf(view) {
  return DATA.leaderboard.filter((row) => row.granularity === view.state.granularity);
}

function boardCaption(rows) {
  const names = rows[0].suites.map((name) => said("suite", name));
  const resampled = rows[0].tasks_resampled ? "search seeds and tasks" : "search seeds; there are too few tasks to resample them";
  const lacking = rows[0].left_out.map((one) => methodLabel(...one));
  const without = lacking.length ? ` Not everywhere, so not ranked: ${listing(lacking)}.` : "";
  return `${plural(rows[0].tasks, "task")}, each counting the same, at ${plural(rows[0].places, "place")} in: ${names.join("; ")}. Default variants and all variants of what costs no search; weights mode of each headline; suites of fewer than five seeds are left out.${without} Open marks are told apart from the best. Lines: 95 % intervals over resamples of ${resampled}.`;
}

// Draw ranks and their table into the part of the page `id`, which is hidden without any.
async function drawRanks(id, rows, table) {
  document.getElementById(id).hidden = !rows.length;
  if (!rows.length) return;
  fill(`${id}-data`, table(rows));
  await draw(`${id}-plot`, ranksSpec(rows, theme()));
}

function ranksSpec(rows, theme) {
  const spec = structuredClone(SPECS.ranks);
  spec.height = 30 * rows.length;
  spec.datasets = {
    ranks: rows.map((row) => ({
      ...row,
      name: methodLabel(row.method, row.variant),
      solid: row.apart ? 0 : 1,
      ...lookOf(row.method, theme),
      "mean rank": row.rank.toFixed(2),
      "told apart from the best": row.apart ? "yes" : "no",
    })),
  };
  leaveOut(spec, { interval: !withInterval(rows) });
  return spec;
}

// The data of the static figures, made into a table when it is first asked for.

function sourceRows(suite, name) {
  const source = suite.sources[name];
  const places = { cells: suite.slices[0].cells, layers: suite.layers[suite.headline.cost], rows: source.rows };
  const wanted = Object.entries(source.where ?? {});
  return records(places[source.of]).filter((row) => wanted.every(([key, value]) => row[key] === value));
}

function sourceTable(suite, name) {
  const rows = sourceRows(suite, name);
  const fields = Object.keys(rows[0] ?? {}).filter((field) => !Array.isArray(rows[0][field]));
  const text = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value ?? "–"));
  const number = (value) => (typeof value === "number" ? value : null);
  const shown = fields.map((field) => [field, [(row) => text(row[field]), (row) => number(row[field])]]);
  return recordTable(`${suite.name}-${name}`, rows, Object.fromEntries(shown));
}

function offerSource(part) {
  const suite = DATA.suites.find((one) => one.name === part.dataset.suite);
  part.hidden = false;
  part.addEventListener("toggle", () => part.lastElementChild.replaceChildren(...sourceTable(suite, part.dataset.figure)), {
    once: true,
  });
}

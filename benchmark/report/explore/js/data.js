// The data of the page: columns become records when they are first asked for.

const DATA = JSON.parse(document.getElementById("data").textContent);
const DECODED = new Map();

function records(columns) {
  if (!DECODED.has(columns)) {
    const names = Object.keys(columns);
    const lists = names.map((name) => {
      const column = columns[name];
      return column.words ? column.at.map((at) => column.words[at]) : column;
    });
    const found = (lists[0] ?? []).map((_, row) => Object.fromEntries(names.map((name, at) => [name, lists[at][row]])));
    DECODED.set(columns, found);
  }
  return DECODED.get(columns);
}

function methodLabel(method, variant = "") {
  const name = method === DATA.dense ? "dense" : DATA.methods[method].label;
  return variant ? `${name} (${DATA.labels.variant[variant]})` : name;
}

function said(key, value) {
  if (key === "suite") return DATA.suites.find((suite) => suite.name === value).title;
  if (key === "budget") return percent(value);
  if (key === "weights") return value;
  return DATA.labels[key]?.[value] ?? String(value);
}

function total(row) {
  return row.pretrain_flops + row.search_flops + row.train_flops;
}

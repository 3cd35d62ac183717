// Tables that can be sorted and taken away.

function numberIn(text) {
  const found = text.replaceAll(MINUS, "-").replaceAll(NBSP, " ").match(/^[^\d+-]?([+-]?\d[\d,]*\.?\d*(?:e[+-]?\d+)?)/i);
  return found ? Number(found[1].replaceAll(",", "")) : null;
}

function cellValue(row, at) {
  const cell = row.cells[at];
  if (!cell) return "";
  return "value" in cell.dataset ? Number(cell.dataset.value) : numberIn(cell.textContent.trim()) ?? cell.textContent.trim();
}

// Numbers before words; a dash or nothing comes last either way.
function compare(first, second, direction) {
  const rank = (value) => (typeof value === "number" ? 0 : value === "" || value === "–" ? 2 : 1);
  if (rank(first) !== rank(second)) return rank(first) - rank(second);
  return direction * (typeof first === "number" ? first - second : first.localeCompare(second));
}

function sortBy(table, at) {
  const head = table.tHead.rows[0].cells[at];
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const whole = (row) => row.cells.length === table.tHead.rows[0].cells.length && !row.classList.contains("dense");
  const sorted = [...body.rows].filter(whole).sort((a, b) => compare(cellValue(a, at), cellValue(b, at), direction));
  body.prepend(...sorted);
}

function sortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = el("button", { type: "button", class: "sort" }, ...head.childNodes);
    button.addEventListener("click", () => sortBy(table, at));
    head.replaceChildren(button);
  });
}

function csv(lines) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return lines.map((line) => line.map((value) => quoted(value === null ? "" : String(value))).join(",") + "\n").join("");
}

function csvButton(name, lines) {
  const button = el("button", { type: "button", class: "csv" }, "Download CSV");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([csv(lines())], { type: "text/csv" }));
    el("a", { href: address, download: `${name}.csv` }).click();
    URL.revokeObjectURL(address);
  });
  return button;
}

// A table of records with its button: `shown` has a head and a text for every column, the file has every field.
function recordTable(name, rows, shown) {
  const head = el("tr", {}, ...Object.keys(shown).map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map((row) => {
    const cells = Object.values(shown).map(([text, value], at) => {
      const number = value ? value(row) : null;
      const attributes = number === null ? {} : { "data-value": String(number) };
      return el(at ? "td" : "th", { ...attributes, ...(at ? {} : { scope: "row" }) }, text(row));
    });
    return el("tr", {}, ...cells);
  });
  const table = el("table", { class: "numbers" }, el("thead", {}, head), el("tbody", {}, ...body));
  sortable(table);
  const fields = Object.keys(rows[0] ?? {});
  const lines = () => [fields, ...rows.map((row) => fields.map((field) => flat(row[field])))];
  return [csvButton(name, lines), el("div", { class: "scroll" }, table)];
}

function flat(value) {
  return Array.isArray(value) ? value.map((one) => one ?? "").join(";") : value;
}

// Tables that stand in the page: as they are shown, so are they taken away.
function enhance(table, name) {
  const text = (cell) => cell.textContent.replaceAll(NBSP, " ").trim();
  sortable(table);
  const lines = () => [...table.rows].map((row) => [...row.cells].map(text));
  const place = table.closest(".scroll") ?? table;
  place.before(csvButton(name, lines));
}

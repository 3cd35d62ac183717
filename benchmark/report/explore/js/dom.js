// Elements, numbers and words.

const MINUS = "\u2212";
const NBSP = "\u00a0";

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function signed(number, digits = 1) {
  const text = Math.abs(number).toFixed(digits);
  return (Number(text) === 0 ? "" : number < 0 ? MINUS : "+") + text;
}

function fill(id, children) {
  document.getElementById(id).replaceChildren(...children);
}

// Shares as percent with the half width of their interval: "86.4 ± 1.2".
function withHalf(share, half, format = (value) => value.toFixed(1)) {
  if (share === null) return "–";
  return format(100 * share) + (half === null ? "" : `${NBSP}±${NBSP}${(100 * half).toFixed(1)}`);
}

function percent(share) {
  return `${Number((100 * share).toPrecision(3))}${NBSP}%`;
}

function count(number) {
  for (const [size, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return Number((number / size).toPrecision(3)) + NBSP + sign;
  }
  return String(Number(number.toPrecision(3)));
}

function plural(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function listing(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function distinct(values) {
  return [...new Set(values)];
}

// Native controls: what is asked, what is drawn.

const QUESTION = {
  suite: "Results of",
  budget: "Keep",
  cost: "of the large model's",
  granularity: "Prune",
  target: "Task",
  shots: "Examples per class",
  measure: "Adapted by",
  weights: "Weights",
};
const SHOWN = {
  intervals: "95 % intervals",
  floors: "floors and control",
  front: "Pareto front",
  variants: "variants",
};

function select(key, name, view) {
  const options = view.choices[key].map((value) => {
    const text = key === "x" ? AXES[value].name(view.state) : said(key, value);
    return el("option", { value: String(value), selected: value === view.state[key] }, text);
  });
  const list = el("select", { name: key, disabled: options.length < 2 }, ...options);
  return el("label", { class: `choice ${key}` }, el("span", {}, name), list);
}

function check(name, value, checked, ...text) {
  return el("label", { class: "check" }, el("input", { type: "checkbox", name, value, checked }), ...text);
}

function swatch(look) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "-1.2 -1.2 2.4 2.4");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", look.shape);
  path.setAttribute("style", `--light:${look.light};--dark:${look.dark}`);
  if (look.stands_out) path.setAttribute("class", "stands-out");
  svg.append(path);
  return svg;
}

// Put the controls of a view in their place; the one in use keeps the focus.
function drawControls(view) {
  const active = document.activeElement;
  const used = active?.form && active.name ? [active.form.id, active.name, active.value, active.type] : null;
  const questions = Object.entries(QUESTION).map(([key, name]) => select(key, name, view));
  document.getElementById("question").replaceChildren(...questions);
  const off = view.state.off.split(",");
  const methods = view.suite.methods.map((method) =>
    check("method", method, !off.includes(method), swatch(DATA.methods[method]), methodLabel(method)),
  );
  const shown = Object.entries(SHOWN).map(([key, name]) => check(key, "1", Boolean(view.state[key]), name));
  document.getElementById("shown").replaceChildren(
    el("fieldset", { class: "methods" }, el("legend", {}, "Methods"), ...methods),
    el("fieldset", {}, el("legend", {}, "Show"), ...shown, select("x", "over", view)),
  );
  if (used) {
    const [form, name, value, type] = used;
    const again = [...document.getElementById(form).elements].filter((one) => one.name === name);
    (type === "checkbox" ? again.find((one) => one.value === value) : again[0])?.focus();
  }
}

// What the controls say, in the form of an address.
function fromControls() {
  const question = Object.fromEntries(new FormData(document.getElementById("question")));
  const form = document.getElementById("shown");
  const boxes = [...form.querySelectorAll("input")];
  const off = boxes.filter((box) => box.name === "method" && !box.checked).map((box) => box.value);
  const switches = boxes.filter((box) => box.name !== "method").map((box) => [box.name, Number(box.checked)]);
  return { ...question, x: form.elements.x.value, ...Object.fromEntries(switches), off: off.join(",") };
}

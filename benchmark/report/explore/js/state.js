// What is shown: chosen values, kept in the address so that a view can be linked.

const PLACE = ["granularity", "target", "shots", "weights"];
const SWITCHES = { intervals: true, floors: true, front: false, variants: false };

function fromAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : ""));
}

function toAddress(state) {
  const found = new URLSearchParams(Object.entries(state).map(([key, value]) => [key, String(value)]));
  history.replaceState(null, "", `#${found}`);
}

// The nearest view to the wanted one that the data have: its state, the choices of every control, and its rows.
function settle(wanted) {
  const suite = DATA.suites.find((one) => one.name === wanted.suite) ?? DATA.suites[0];
  const choices = { suite: DATA.suites.map((one) => one.name) };
  const state = { suite: suite.name };
  const choose = (key, found, preferred) => {
    const matching = [wanted[key], preferred].map((value) => found.find((one) => String(one) === String(value)));
    choices[key] = found;
    state[key] = matching.find((one) => one !== undefined) ?? found[0];
  };
  choose("cost", distinct(suite.slices.map((one) => one.cost)), suite.headline.cost);
  const ofCost = suite.slices.filter((one) => one.cost === state.cost);
  choose("measure", distinct(ofCost.map((one) => one.measure)), suite.headline.measure);
  const slice = ofCost.find((one) => one.measure === state.measure);
  const every = records(slice.cells);
  let rows = every;
  for (const key of PLACE) {
    const found = distinct(rows.map((row) => row[key]));
    if (key === "target") found.sort((a, b) => suite.targets.indexOf(a) - suite.targets.indexOf(b));
    if (key === "shots") found.sort((a, b) => a - b);
    choose(key, found, suite.headline[key]);
    rows = rows.filter((row) => row[key] === state[key]);
  }
  const budgets = distinct(rows.filter((row) => row.method !== DATA.dense).map((row) => row.budget)).sort((a, b) => b - a);
  const off = (budget) => Math.abs(Math.log(budget / DATA.budget));
  choose("budget", budgets, [...budgets].sort((a, b) => off(a) - off(b))[0]);
  choose("x", Object.keys(AXES), "share");
  for (const [key, usual] of Object.entries(SWITCHES)) state[key] = key in wanted ? Number(wanted[key]) : Number(usual);
  state.off = (wanted.off ?? "").split(",").filter((method) => suite.methods.includes(method)).join(",");
  return { state, choices, suite, slice, every, rows };
}

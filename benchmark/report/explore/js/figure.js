// The main figure: its points and levels, put into its specification.

const STEP = 0.03; // sideways between neighbouring curves, in log share
const SPREAD = 0.16; // of all curves together at most, so that every point stays at its budget
const DASHES = [[1, 0], [6, 2], [2, 2], [7, 2, 2, 2], [10, 3]];
const DENSE_LOOK = { light: "#555555", dark: "#b9bec7" };
const EDGE = { light: "#000000", dark: "#ffffff" }; // of the method that stands out
const FLOOR_LOOK = { light: "#8a6d3b", dark: "#c9a86a" };

function pointsOf(view, theme) {
  const { state, suite } = view;
  const off = state.off.split(",");
  const shown = suite.methods.filter((method) => !off.includes(method));
  const rows = view.rows.filter(
    (row) => shown.includes(row.method) && (state.variants || row.rival || row.variant === ""),
  );
  const dashes = new Map();
  const step = Math.min(STEP, SPREAD / Math.max(1, shown.length - 1));
  const points = rows.map((row) => {
    const names = dashes.get(row.method) ?? dashes.set(row.method, [""]).get(row.method);
    if (!names.includes(row.variant)) names.push(row.variant);
    const aside = state.x === "share" ? Math.exp(step * (shown.indexOf(row.method) - (shown.length - 1) / 2)) : 1;
    const exact = AXES[state.x].value(row);
    return {
      id: pointId(row),
      name: methodLabel(row.method, row.variant),
      rival: row.rival,
      ...lookOf(row.method, theme),
      dash: DASHES[names.indexOf(row.variant) % DASHES.length],
      solid: row.variant === "" ? 1 : 0,
      exact,
      x: exact * aside,
      budget: row.budget,
      accuracy: row.accuracy,
      low: row.half === null ? null : Math.max(0, row.accuracy - row.half),
      high: row.half === null ? null : Math.min(1, row.accuracy + row.half),
      "accuracy, %": withHalf(row.accuracy, row.half),
      "budget, share kept": `${percent(row.budget)}, ${percent(row.complexity)}`,
      "lost, points": withHalf(row.lost, row.lost_half),
      seeds: row.seeds,
    };
  });
  return points.sort((a, b) => a.width - b.width); // What stands out is drawn last, over the others.
}

function lookOf(method, theme) {
  const look = DATA.methods[method];
  const edge = look.stands_out ? EDGE[theme] : look[theme];
  return { colour: look[theme], shape: look.shape, edge, width: look.stands_out ? 4 : 2, area: look.stands_out ? 170 : 95 };
}

function pointId(row) {
  return [row.method, row.variant, row.budget].join("|");
}

function levelsOf(view, theme) {
  const { state, slice } = view;
  const place = (row, weights) =>
    row.method === DATA.dense && PLACE.every((key) => row[key] === (key === "weights" ? weights : state[key]));
  const found = [];
  const dense = view.every.find((row) => place(row, state.weights));
  const scratch = state.weights === "scratch" ? undefined : view.every.find((row) => place(row, "scratch"));
  const level = slice.levels.find((one) => one.target === state.target && one.shots === state.shots);
  const add = (name, accuracy, half, colour, dash) =>
    found.push({ name, accuracy, colour, dash, low: half ? accuracy - half : null, high: half ? accuracy + half : null });
  if (dense) add("whole network", dense.accuracy, dense.half, DENSE_LOOK[theme], [7, 3]);
  if (scratch) add("whole network, in scratch", scratch.accuracy, null, DENSE_LOOK[theme], [3, 3]);
  for (const [measure, accuracy] of Object.entries(level?.floors ?? {})) {
    add(DATA.labels.floor[measure], accuracy, null, FLOOR_LOOK[theme], [5, 2, 1, 2]);
  }
  if (level && level.chance !== null) add("guessing", level.chance, null, DENSE_LOOK[theme], [1, 3]);
  return found;
}

function mainSpec(view, theme, points) {
  const { state } = view;
  const spec = structuredClone(SPECS.main);
  spec.height = Math.round(Math.min(560, Math.max(320, 0.42 * document.getElementById("main-plot").clientWidth)));
  const levels = levelsOf(view, theme);
  spec.datasets = { points, levels };
  leaveOut(spec, {
    interval: !state.intervals || !withInterval(points),
    "level band": !state.floors || !withInterval(levels),
    "level line": !state.floors,
    "level name": !state.floors,
    front: !state.front,
  });
  const axis = spec.encoding.x.axis;
  axis.title = AXES[state.x].name(state);
  axis.format = AXES[state.x].format;
  if (state.x === "share") axis.values = view.choices.budget;
  spec.encoding.y.axis.title = `accuracy, ${state.target}`;
  return spec;
}

function mainCaption(view) {
  const { state } = view;
  const bars = view.suite.few ? "No intervals: too few search seeds." : `Bars: 95 % intervals over ${seeds(view)}.`;
  const aside = state.x === "share" ? " Points are set sideways by a few percent so that bars do not hide each other." : "";
  const front = state.front ? " Pale line: the Pareto front, best mean at no more than this cost." : "";
  return `${plural(state.shots, "example")} per class, ${said("measure", state.measure)}, weights ${DATA.labels.weights[state.weights]}. ${bars}${aside}${front}`;
}

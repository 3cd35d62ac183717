// Vega-Lite in the colours and letter size of the page.

function theme() {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function config(element) {
  const style = getComputedStyle(element);
  const ink = style.getPropertyValue("--ink").trim();
  const line = style.getPropertyValue("--line").trim();
  const size = parseFloat(style.fontSize);
  const text = { labelColor: ink, titleColor: ink, labelFontSize: size, titleFontSize: size, titleFontWeight: 600 };
  return {
    background: "transparent",
    font: style.fontFamily,
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: ink, tickColor: ink, titlePadding: 8, labelOverlap: "greedy" },
    text: { color: ink, fontSize: size * 0.9 },
    rule: { color: ink },
  };
}

// Layers without data are left out: Vega-Lite would look for the extent of nothing.
function leaveOut(spec, unwanted) {
  spec.layer = spec.layer.filter((layer) => !unwanted[layer.name]);
}

function withInterval(rows) {
  return rows.some((row) => row.low !== null);
}

async function draw(id, spec) {
  const element = document.getElementById(id);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    config: config(element),
    tooltip: { theme: theme() },
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: id,
  };
  const made = await vegaEmbed(element, spec, options);
  return made.view;
}

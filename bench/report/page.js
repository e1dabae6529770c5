const specs = JSON.parse(document.getElementById("charts").textContent);
const dark = JSON.parse(document.getElementById("dark").textContent);
const theme = matchMedia("(prefers-color-scheme: dark)");
const form = document.querySelector(".selectors");
const views = new Map();

function hiddenEngines() {
  const boxes = form ? [...form.querySelectorAll("[name=engine]:not(:checked)")] : [];
  return boxes.map((box) => box.value);
}

/* A chart as wide as its place, with as many columns of legend as fit, in the theme's colours. */
function fitted(spec, width) {
  let text = JSON.stringify(spec);
  if (theme.matches) {
    for (const [light, other] of Object.entries(dark)) text = text.replaceAll(light, other);
  }
  const made = JSON.parse(text);
  made.width = "container";
  made.autosize = { type: "fit-x", contains: "padding" };
  made.config.legend.columns = Math.max(1, Math.floor((width - 60) / made.usermeta.legend_column));
  const hidden = made.params.find((parameter) => parameter.name === "hidden");
  hidden.value = hiddenEngines();
  return made;
}

async function draw(figure) {
  const place = figure.querySelector(".live");
  figure.dataset.live = "";
  const width = place.clientWidth;
  if (!width) return;
  try {
    views.get(figure)?.finalize();
    const options = { actions: false, ast: true, renderer: "svg" };
    views.set(figure, await vegaEmbed(place, fitted(specs[figure.id], width), options));
    figure.dataset.drawn = width;
  } catch (error) {
    delete figure.dataset.live; /* the static chart is there, too */
    console.error(figure.id, error);
  }
}

async function drawAll() {
  for (const figure of document.querySelectorAll("figure")) await draw(figure);
  document.documentElement.dataset.charts = document.querySelectorAll("[data-drawn]").length;
}

function select() {
  const hidden = hiddenEngines();
  for (const row of document.querySelectorAll("tr[data-engine]")) {
    row.toggleAttribute("data-hidden", hidden.includes(row.dataset.engine));
  }
  for (const box of form.querySelectorAll("[name=panel]")) {
    document.getElementById(box.value).toggleAttribute("data-hidden", !box.checked);
  }
  for (const drawn of views.values()) drawn.view.signal("hidden", hidden).runAsync();
  for (const figure of document.querySelectorAll("figure:not([data-drawn])")) draw(figure);
}

let waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 150);
});
theme.addEventListener("change", drawAll);
if (form) {
  form.hidden = false;
  form.addEventListener("change", select);
}
drawAll();

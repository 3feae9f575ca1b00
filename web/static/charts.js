// Draws each figure.chart from the JSON in its data-values: fetches ECharts when the first one comes, draws in idle
// moments, again when the room or the theme changes. What a kind looks like: chart-kinds.js.

const root = document.documentElement;
function spoken() { return root.lang === "en" ? "en-GB" : root.lang; }
const meta = (name) => document.querySelector(`meta[name=${name}]`).content;
const number = new Intl.NumberFormat(root.lang, { maximumSignificantDigits: 4 });
const compact = new Intl.NumberFormat(root.lang, { notation: "compact", maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat(root.lang, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(root.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const shortDay = new Intl.DateTimeFormat(spoken(), { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(spoken(), { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(root.lang, { dateStyle: "medium", timeZone: "UTC" });

// One line of harmless text: no direction marks that turn the rest around, no breaks, and no "{style|" that rich text
// would read as markup (a word joiner, which nobody sees, stands between).
function plain(text, most = 240) {
  const clean = String(text).slice(0, 2 * most)
    .replace(/[\u0000-\u001f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").replace(/\{/g, "{\u2060");
  const letters = [...clean];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : clean;
}
// Tooltips on canvas don't wrap by themselves.
const wrapped = (text) => plain(text).replace(/(.{1,44})(?:\s+|$)|(.{44})/gu, "$1$2\n").trim();
function shown(value, axis) {
  if (value == null) return "–";
  if (axis?.percent) return percent.format(value);
  return value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(2) : number.format(value);
}
// On an axis there is room for about six characters.
const brief = (value, axis) => (Math.abs(value) >= 1e5 ? compact.format(value) : shown(value, axis));
// Plots are laid out left to right; an Arabic date in one keeps its own order between these marks.
const inOrder = (text) => (root.dir === "rtl" ? `\u2067${text}\u2069` : text);
const day = (value) => inOrder(date.format(value));
// Moments in the reader's own zone: for tooltips, and for axes the hour or the day.
const times = { full: (at) => inOrder(moment.format(at)), hour: (at) => inOrder(clock.format(at)), day: (at) => inOrder(shortDay.format(at)) };

// ECharts knows no CSS variables, so their present values are read for each drawing.
function colours() {
  const style = getComputedStyle(root);
  const names = ["card", "ink", "soft", "rule", "edge", "accent", "good", "bad", "whisker"];
  const found = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...found, font: getComputedStyle(document.body).fontFamily };
}

// Modules import by address, and addresses carry a content hash that only the server knows: both come from the head.
let loaded;
const load = () => (loaded ??= Promise.all([import(meta("chart-kinds")), import(meta("chart-parts")), script(meta("echarts"))]));
function script(address) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    Object.assign(element, { src: address, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}

const drawn = new Map(); // plot element -> ECharts instance
const waiting = new Set();
const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));

// Observing reports at once and at each change of size; a plot in closed details has no width until it opens.
const observer = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) if (contentRect.width > 0) want(target);
});

function want(plot) {
  if (waiting.size === 0) idle(work, { timeout: 200 });
  waiting.add(plot);
}

async function work() {
  const [{ KINDS }, { parts }] = await load();
  const [plot] = waiting;
  if (plot === undefined) return;
  waiting.delete(plot);
  try {
    if (plot.isConnected) draw(plot, KINDS, parts);
  } catch (error) {
    console.error(error); // one broken picture must not cost the others
  }
  if (waiting.size > 0) idle(work, { timeout: 200 });
}

function draw(plot, KINDS, parts) {
  const figure = plot.closest("figure.chart");
  const chart = drawn.get(plot) ?? window.echarts.init(plot, null, { renderer: "canvas" });
  drawn.set(plot, chart);
  chart.resize();
  const text = { colours: colours(), plain, wrapped, shown, brief, day, times };
  const tools = { ...text, ...parts(text), width: plot.clientWidth, rtl: root.dir === "rtl" };
  chart.setOption(KINDS[figure.dataset.chart](JSON.parse(figure.dataset.values), tools), { notMerge: true });
  figure.dataset.drawn = "yes";
}

document.addEventListener("htmx:load", (event) => {
  for (const [plot, chart] of drawn) {
    if (plot.isConnected) continue;
    observer.unobserve(plot);
    chart.dispose();
    drawn.delete(plot);
  }
  event.detail.elt.querySelectorAll?.("figure.chart .plot").forEach((plot) => observer.observe(plot));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...drawn.keys()].forEach(want));

// A Plotly chart that is updated in place. One chart lives in each mount; a part brings columns and
// a figure; zoom, pan, legend choices and hover stay the user's until a double click.
import { drop, take } from "./hub.js";
import { groundOf, isLight, onGround } from "./theme.js";

const charts = new WeakMap();
const MINUTE = 60000;
const AGAIN_MS = 3000;
const UNLOADED = "The chart library could not be loaded. It is asked for again in a few seconds.";
let plotly;

// The first of the addresses whose file runs here; null where none does, and a moment later they
// are tried again.
export function loadPlotly(urls) {
  plotly ??= firstThatRuns(urls).then((library) => {
    if (!library) setTimeout(() => (plotly = undefined), AGAIN_MS);
    return library;
  });
  return plotly;
}

async function firstThatRuns(urls) {
  for (const url of urls) {
    const library = window.Plotly ?? (await run(url));
    if (library) return library;
  }
  return null;
}

function run(url) {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => resolve(null);
    document.head.appendChild(script);
  });
}

// Plotly draws a number as the browser's local time. For UTC it is handed the moment at which the
// local clock shows what the UTC clock shows now.
const offset = (ms) => -new Date(ms).getTimezoneOffset() * MINUTE;
const drawnAs = (ms) => ms - offset(ms - offset(ms));

function unpack(part, light) {
  const local = part.fields.zone === "local";
  const columns = part.columns.map(({ time, values }) => (time && !local ? values.map(drawnAs) : values));
  const walk = (node) => {
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node === "string") return onGround(node, light);
    if (node === null || typeof node !== "object") return node;
    if ("$" in node) return columns[node.$];
    return painted(Object.fromEntries(Object.entries(node).map(([k, v]) => [k, walk(v)])));
  };
  const data = walk(part.fields.data);
  const layout = walk(part.fields.layout);
  if (!local) {
    for (const shape of layout.shapes ?? []) {
      if (shape.xref === "x") [shape.x0, shape.x1] = [drawnAs(shape.x0), drawnAs(shape.x1)];
    }
  }
  return { data, layout };
}

// Bars of one of two colours by name: by a scale, Plotly warns of every bar, at length.
function painted(node) {
  const { color, colorscale, cmin, cmax, ...rest } = node;
  if (colorscale?.length !== 2 || cmin !== 0 || cmax !== 1 || !color?.length) return node;
  const [[, none], [, one]] = colorscale;
  return { ...rest, color: Array.from(color, (value) => (value ? one : none)) };
}

function themed(layout, mount) {
  const style = getComputedStyle(mount);
  const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const text = read("--st-text-color", "#e7ebf4");
  layout.font = { ...layout.font, color: text, family: read("--st-font", "sans-serif") };
  layout.hoverlabel = {
    bgcolor: read("--st-secondary-background-color", "#131a2a"),
    bordercolor: read("--st-border-color", "#232c42"),
    font: { color: text, size: 12 },
  };
  const muted = onGround("#8b96ad", isLight(mount));
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: text };
}

// The vertical axes fit what is visible of their traces, unless the user has set them.
function fitValues(layout, data, [from, to], held) {
  const bounds = {};
  for (const trace of data) {
    if (trace.visible === "legendonly" || !trace.x) continue;
    const name = "yaxis" + (trace.yaxis ?? "y").slice(1);
    const [low, high] = trace.type === "candlestick" ? [trace.low, trace.high] : [trace.y, trace.y];
    const bound = (bounds[name] ??= [Infinity, -Infinity]);
    for (let i = 0; i < trace.x.length; i++) {
      if (trace.x[i] < from || trace.x[i] > to) continue;
      if (low[i] < bound[0]) bound[0] = low[i];
      if (high[i] > bound[1]) bound[1] = high[i];
    }
  }
  for (const shape of layout.shapes ?? []) {
    if (shape.type !== "line" || !shape.yref?.startsWith("y")) continue;
    const bound = bounds["yaxis" + shape.yref.slice(1)];
    if (bound) [bound[0], bound[1]] = [Math.min(bound[0], shape.y0), Math.max(bound[1], shape.y0)];
  }
  for (const [name, [low, high]] of Object.entries(bounds)) {
    const axis = layout[name];
    if (!axis || axis.range || held[name + ".range"] || !(high >= low)) continue;
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.001 || 1;
    axis.range = [axis.rangemode === "tozero" ? Math.min(0, low) : low - margin, high + margin];
  }
}

// Charts that are drawn for the first time take turns, one a frame, from the top: the first is seen
// before the last is made. Those further down wait until the browser has nothing else to do. Later
// they move together, in one frame.
const firsts = [];
const topOf = (chart) => chart.mount.getBoundingClientRect().top;
let unplan = () => {};

function queueFirst(chart) {
  firsts.push(chart);
  planFirst();
}

function planFirst() {
  unplan();
  if (!firsts.length) return;
  firsts.sort((one, other) => topOf(one) - topOf(other));
  if (topOf(firsts[0]) > window.innerHeight && window.requestIdleCallback) {
    const turn = requestIdleCallback(drawFirst, { timeout: 1000 });
    unplan = () => cancelIdleCallback(turn);
  } else {
    const turn = requestAnimationFrame(drawFirst);
    unplan = () => cancelAnimationFrame(turn);
  }
}

function drawFirst() {
  const chart = firsts.shift();
  planFirst();
  chart.due();
}

// Room for the labels of the vertical axes; Plotly finds it out by drawing everything twice.
const ruler = document.createElement("canvas").getContext("2d");

function makeRoom(layout) {
  const axes = Object.entries(layout).filter(([name, axis]) => name.startsWith("yaxis") && axis.automargin);
  if (!axes.length || !axes.every(([, axis]) => axis.side === "right" && axis.range)) return;
  ruler.font = `${layout.font.size}px ${layout.font.family}`;
  let room = 0;
  for (const [, axis] of axes) {
    axis.automargin = false;
    const [low, high] = axis.range.map(Number);
    const digits = Math.ceil(-Math.log10(Math.abs(high - low) / (axis.nticks ?? 6)));
    const decimals = Math.min(Math.max(digits, 0), 20);
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    for (const end of [low, high]) {
      const text = end.toLocaleString("en-US", options) + (axis.ticksuffix ?? "");
      room = Math.max(room, ruler.measureText(text).width);
    }
  }
  layout.margin = { ...layout.margin, r: Math.ceil(room) + 14 };
}

class Chart {
  constructor(mount) {
    this.mount = mount;
    this.node = document.createElement("div");
    this.node.className = "live-chart";
    this.node.setAttribute("role", "img");
    mount.appendChild(this.node);
    this.clock = new Clock(mount);
    this.held = {}; // ranges the user has set, by layout key
    this.draws = 0;
    this.asked = null;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(mount);
    this.onShow = () => !document.hidden && this.schedule();
    document.addEventListener("visibilitychange", this.onShow);
  }

  take(part, urls) {
    const message = part.fields;
    if (this.message && this.message.id !== message.id) this.held = {};
    this.part = part;
    this.message = message;
    this.node.style.height = `${message.height}px`;
    this.node.setAttribute("aria-label", message.alt);
    this.urls = urls;
    this.load();
  }

  async load() {
    this.library ??= await loadPlotly(this.urls);
    if (this.gone) return;
    clearTimeout(this.again);
    if (!this.library) {
      this.node.textContent = UNLOADED;
      this.again = setTimeout(() => this.load(), 2 * AGAIN_MS);
      return;
    }
    if (this.again) this.node.textContent = this.again = "";
    this.schedule();
  }

  schedule() {
    if (this.pending || !this.library || document.hidden || this.gone) return;
    this.pending = true;
    if (this.draws) requestAnimationFrame(() => this.due());
    else queueFirst(this);
  }

  due() {
    this.pending = false;
    if (this.gone) return;
    // A redraw in the middle of a drag would take the chart out of the user's hand.
    if (this.node._dragging) setTimeout(() => this.schedule(), 120);
    else this.draw();
  }

  draw() {
    const { data, layout } = unpack(this.part, isLight(this.mount));
    const narrow = this.mount.clientWidth < 480;
    this.width = this.node.clientWidth;
    themed(layout, this.mount);
    layout.height = this.message.height;
    layout.autosize = true;
    layout.uirevision = this.message.id;
    if (narrow) this.squeeze(layout, data);
    this.place(layout, data);
    const config = {
      displaylogo: false,
      showSendToCloud: false, // nothing of the page is uploaded anywhere
      plotlyServerURL: "",
      scrollZoom: false,
      doubleClick: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "resetScale2d"],
      displayModeBar: narrow ? false : "hover",
      toImageButtonOptions: { filename: this.message.file, scale: 2 },
    };
    this.library.react(this.node, data, layout, config).then(() => this.drawn(data));
  }

  squeeze(layout, data) {
    layout.dragmode = false; // a finger on the chart scrolls the page
    layout.xaxis = { ...layout.xaxis, nticks: 5 };
    layout.font.size = 11;
    if (!data.some((trace) => trace.showlegend)) return;
    layout.legend = { ...layout.legend, x: 0, xanchor: "left", y: -0.06, yanchor: "top" };
    layout.margin = { ...layout.margin, b: 76 };
  }

  place(layout, data) {
    const times = data.find((trace) => trace.x?.length)?.x;
    const time = layout.xaxis?.type === "date";
    if (time && times) {
      const step = this.message.step_ms || 0;
      this.first = times[0];
      this.live = [times[0] - step, times[times.length - 1] + step * 2];
      const range = this.held["xaxis.range"] ?? this.live;
      layout.xaxis = { ...layout.xaxis, range: [...range], autorange: false };
      fitValues(layout, data, range.map(Number), this.held);
    }
    for (const [key, range] of Object.entries(this.held)) {
      const name = key.slice(0, -".range".length);
      if (layout[name]) layout[name] = { ...layout[name], range: [...range], autorange: false };
    }
    if (time && times) makeRoom(layout);
  }

  drawn(data) {
    if (!this.draws++) this.listen();
    const main = data.find((trace) => trace.x?.length);
    const values = main?.close ?? main?.y;
    Object.assign(this.node.dataset, {
      draws: this.draws,
      points: main?.x.length ?? 0,
      lastX: main?.x[main.x.length - 1] ?? "",
      lastY: values?.[values.length - 1] ?? "",
      version: this.part.seq,
      following: String(!this.held["xaxis.range"]),
    });
  }

  listen() {
    this.node.on("plotly_relayout", (event) => this.moved(event));
    this.node.on("plotly_doubleclick", () => this.follow());
    this.node.on("plotly_hover", (event) => this.clock.show(event, this.node, this.message.zone === "local"));
    this.node.on("plotly_unhover", () => this.clock.hide());
  }

  moved(event) {
    let changed = false;
    for (const key of Object.keys(event)) {
      const match = key.match(/^([xy]axis\d*)\.range(\[0\])?$/);
      if (!match) continue;
      const range = this.node._fullLayout[match[1]].range;
      this.held[match[1] + ".range"] = match[1].startsWith("x") ? range.map(asMs) : [...range];
      changed = true;
    }
    if (!changed) return;
    const left = this.held["xaxis.range"]?.[0];
    if (left < this.first && this.message.more && this.asked !== this.first) {
      this.asked = this.first;
      this.trigger("earlier", this.first);
    }
    this.schedule();
  }

  follow() {
    this.held = {};
    this.schedule();
  }

  resize() {
    const width = this.node.clientWidth;
    if (this.draws && this.node.isConnected && width && width !== this.width) this.schedule();
  }

  remove() {
    this.gone = true;
    clearTimeout(this.again);
    this.resizing.disconnect();
    document.removeEventListener("visibilitychange", this.onShow);
    if (this.draws) this.library.purge(this.node);
    this.node.remove();
    this.clock.node.remove();
  }
}

const asMs = (value) => {
  if (typeof value === "number") return value;
  const text = String(value).replace(" ", "T");
  return drawnAs(Date.parse(text.includes("T") ? text + "Z" : text + "T00:00:00Z"));
};

// The label at the foot of the crosshair: the time as drawn, and in UTC.
class Clock {
  constructor(mount) {
    this.node = document.createElement("div");
    this.node.className = "live-clock";
    this.node.hidden = true;
    mount.appendChild(this.node);
  }

  show(event, chart, local) {
    const { xaxis, x } = event.points[0];
    if (xaxis?.type !== "date") return;
    const shown = asMs(x);
    const utc = local ? shown : shown + offset(shown);
    const text = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    this.node.textContent = local
      ? `${text(shown + offset(shown))} ${zone} · ${text(utc)} UTC`
      : `${text(utc)} UTC`;
    this.node.hidden = false;
    const at = chart.offsetLeft + xaxis._offset + xaxis.d2p(x) - this.node.offsetWidth / 2;
    const most = chart.offsetLeft + chart.clientWidth - this.node.offsetWidth;
    this.node.style.left = `${Math.max(0, Math.min(at, most))}px`;
    this.node.style.top = `${chart.offsetTop + plotFoot(chart)}px`;
  }

  hide() {
    this.node.hidden = true;
  }
}

const plotFoot = (chart) => chart._fullLayout._size.t + chart._fullLayout._size.h + 4;

export function render({ data, parentElement, setTriggerValue }, plotlyUrls) {
  let chart = charts.get(parentElement);
  if (!chart) {
    charts.set(parentElement, (chart = new Chart(parentElement)));
    chart.show = (part) => chart.take(part, plotlyUrls);
  }
  chart.trigger = setTriggerValue;
  take(data, chart.show, groundOf(parentElement));
}

export function remove(parentElement) {
  const chart = charts.get(parentElement);
  if (!chart) return;
  drop(chart.show);
  chart.remove();
  charts.delete(parentElement);
}

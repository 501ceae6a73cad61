// Rows of cards: labels, values, lines of text and small lines, each changed in place. The markup is
// built once for a shape; what comes later is text, never markup.
import { drop, take } from "./hub.js";
import { draw } from "./spark.js";
import { groundOf, inkOnGround, isLight } from "./theme.js";

const rows = new WeakMap();

function make(parent, tag, name) {
  const node = document.createElement(tag);
  node.className = name;
  parent.appendChild(node);
  return node;
}

const put = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

const TESTED = { label: "stMetricLabel", value: "stMetricValue", delta: "stMetricDelta" };

// Each kind of item: what is built once, and how it is brought up to date.
const KINDS = {
  text(card, item) {
    const node = make(card, "div", `live-${item.as}`);
    if (TESTED[item.as]) node.dataset.testid = TESTED[item.as];
    const text = make(node, "span", "");
    let tip = null;
    return (now) => {
      put(text, now.text);
      node.dataset.tone = now.tone ?? "";
      if (!now.help && !tip) return;
      tip ??= help(node);
      tip.hidden = !now.help;
      tip.dataset.help = now.help ?? "";
      tip.setAttribute("aria-label", now.help ?? "");
    };
  },
  line(card) {
    const node = make(card, "div", "live-line");
    let runs = [];
    return (now) => {
      if (runs.length !== now.runs.length) {
        node.replaceChildren();
        runs = now.runs.map(() => make(node, "span", ""));
      }
      node.className = `live-line${now.small ? " live-small" : ""}`;
      now.runs.forEach(([text, tone], i) => {
        put(runs[i], text);
        runs[i].dataset.tone = tone ?? "";
      });
    };
  },
  spark(card) {
    const node = make(card, "div", "live-spark");
    return (now) => draw(node, now);
  },
};

function help(node) {
  const tip = make(node, "button", "live-help");
  tip.type = "button";
  tip.textContent = "?";
  return tip;
}

const shapeOf = (fields) =>
  JSON.stringify([fields.style, fields.cards.map((c) => [c.key, c.width, c.items.map((i) => [i.kind, i.as])])]);

class Row {
  constructor(mount) {
    this.node = make(mount, "div", "live-row");
    this.show = (part) => this.take(part.fields, part.seq);
  }

  take(fields, seq) {
    const shape = shapeOf(fields);
    if (shape !== this.shape) this.build(fields, shape);
    fields.cards.forEach((card, c) => card.items.forEach((item, i) => this.set[c][i](item)));
    const light = isLight(this.node);
    const [up, down] = (fields.colours ?? []).map((colour) => inkOnGround(colour, light));
    this.node.style.setProperty("--live-up", up ?? "");
    this.node.style.setProperty("--live-down", down ?? "");
    this.node.dataset.seq = seq;
  }

  build(fields, shape) {
    this.shape = shape;
    this.node.replaceChildren();
    this.node.className = `live-row live-${fields.style}`;
    this.set = fields.cards.map((card) => {
      const node = make(this.node, "div", `live-card${card.key ? ` st-key-${card.key}` : ""}`);
      if (card.width) node.style.width = `${card.width}px`;
      return card.items.map((item) => KINDS[item.kind](node, item));
    });
  }
}

export function render({ data, parentElement }) {
  let row = rows.get(parentElement);
  if (!row) rows.set(parentElement, (row = new Row(parentElement)));
  take(data, row.show, groundOf(parentElement));
}

export function remove(parentElement) {
  const row = rows.get(parentElement);
  if (!row) return;
  drop(row.show);
  row.node.remove();
  rows.delete(parentElement);
}

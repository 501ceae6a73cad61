// A small line, drawn as SVG and updated in place: the markup is made once, its points are moved.
import { isLight, onGround } from "./theme.js";

const SVG = "http://www.w3.org/2000/svg";
const lines = new WeakMap();
const WIDTH = 240;

function make(parent, name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.appendChild(node);
  return node;
}

function create(mount) {
  const svg = make(mount, "svg", {
    class: "spark", role: "img", width: "100%", preserveAspectRatio: "none",
  });
  return {
    svg,
    area: make(svg, "path", { "fill-opacity": 0.13, stroke: "none" }),
    line: make(svg, "path", {
      fill: "none", "stroke-width": 1.6, "vector-effect": "non-scaling-stroke",
      "stroke-linejoin": "round",
    }),
  };
}

export function draw(mount, { values, height, colour, alt }) {
  let spark = lines.get(mount);
  if (!spark) lines.set(mount, (spark = create(mount)));
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const x = (i) => ((i / Math.max(values.length - 1, 1)) * WIDTH).toFixed(1);
  const y = (v) => (height - 3 - ((v - low) / span) * (height - 6)).toFixed(1);
  const path = values.map((v, i) => `${i ? "L" : "M"}${x(i)} ${y(v)}`).join("");
  spark.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
  spark.svg.setAttribute("height", height);
  spark.svg.setAttribute("aria-label", alt);
  spark.svg.dataset.lastY = values[values.length - 1];
  const ink = onGround(colour, isLight(mount));
  spark.line.setAttribute("d", path);
  spark.line.setAttribute("stroke", ink);
  spark.area.setAttribute("d", `${path}L${WIDTH} ${height}L0 ${height}Z`);
  spark.area.setAttribute("fill", ink);
}

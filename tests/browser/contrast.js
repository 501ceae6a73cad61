// Text whose contrast with its ground is below 4.5 to 1 (WCAG 2.2, 1.4.3): "text | ratio | colour".
// Left out: disabled controls (exempt), icons (a font of ligatures), and text on a heat map's cells,
// whose ground is another SVG node.
() => {
  const parse = (colour) => {
    const parts = colour.match(/[\d.]+/g)?.map(Number);
    if (!parts) return null;
    const [r, g, b, alpha] = parts;
    return colour.startsWith("color(") ? [r * 255, g * 255, b * 255, alpha ?? 1] : [r, g, b, alpha ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const v = value / 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parents = (node) => {
    const all = [];
    for (let e = node; e; e = e.parentElement ?? e.getRootNode()?.host) all.push(e);
    return all;
  };
  const ground = (node) => {
    const layers = [];
    for (const e of parents(node)) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour && colour[3] > 0) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reduceRight((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim();
    const e = walk.currentNode.parentElement;
    if (!text || !e || ["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(e.tagName)) continue;
    if (e.closest("canvas, [disabled], [aria-disabled=true], [data-testid=stIconMaterial], .heatmap-label")) continue;
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    if (box.width < 2 || box.height < 2 || style.visibility === "hidden") continue;
    const colour = parse(e.namespaceURI.includes("svg") ? style.fill : style.color);
    if (!colour) continue;
    const under = ground(e);
    colour[3] *= parents(e).reduce((all, one) => all * Number(getComputedStyle(one).opacity), 1);
    const pair = [luminance(over(colour, under)), luminance(under)].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.495) found.add(`${text.slice(0, 40)} | ${ratio.toFixed(2)} | ${style.color}`);
  }
  return [...found];
}

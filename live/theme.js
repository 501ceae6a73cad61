// Which ground a part stands on, and the colours for it.
// Figures and small lines come in the colours of the dark theme; on a light ground each has one of
// its own that can be told from white.
const ON_LIGHT = {
  "#8b96ad": "#566179", "#ffffff": "#161c2b", "#141b2c": "#f2f4fa", "#33415f": "#c3cbe0",
  "#6c8cff": "#3a55cf", "#f0a23a": "#b86a00", "#2ebd9b": "#0f8f70", "#f4586c": "#d1304a",
  "#d57bff": "#9a35d0", "#4fc3f7": "#0b7fb8", "#c0ca33": "#75800a", "#ff8a65": "#c9502a",
  "#56b4e9": "#1f7fbf", "#e69f00": "#b87400", "#009e73": "#00805d", "#cc79a7": "#a84d80",
  "#f0e442": "#8f8500", "#0072b2": "#0072b2", "#d55e00": "#d55e00", "#bbbbbb": "#6b6b6b",
};

export const groundOf = (mount) => getComputedStyle(mount).getPropertyValue("--st-background-color").trim();

export function isLight(mount) {
  const ground = groundOf(mount);
  const parts = ground.startsWith("#")
    ? ground.slice(1).match(/../g).map((part) => parseInt(part, 16))
    : (ground.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
  return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 140;
}

export const onGround = (colour, light) => (light ? (ON_LIGHT[colour] ?? colour) : colour);

// Text needs more contrast than a line: a tone is mixed with black.
export const inkOnGround = (colour, light) =>
  light ? `color-mix(in srgb, ${colour} 62%, black)` : colour;

// Controls that stick out of the page or lie on one another.
() => {
  const found = [];
  const tell = (node) => node.outerHTML.slice(0, 90);
  const boxes = [...document.querySelectorAll("button, input, [role=progressbar]")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((one) => one.tabIndex >= 0)
    .filter((one) => !one.closest("[data-testid=stSidebar], [data-testid=stHeader], .stDataFrame"))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 12 && box.height > 12);
  for (const [one, box] of boxes) {
    if (one.closest(".stTabs [role=tablist]")) continue; // scrolls sideways by itself
    if (box.right > window.innerWidth + 1) found.push("sticks out: " + tell(one));
    for (const [other, its] of boxes) {
      if (one === other || one.contains(other) || other.contains(one)) continue;
      const field = one.closest("[data-testid^=st][class*=stNumberInput], [data-baseweb]");
      if (field?.contains(other) || field?.parentElement?.contains(other)) continue;
      const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      if (wide > 3 && high > 3) found.push(`overlap: ${tell(one)} and ${tell(other)}`);
    }
  }
  return found;
}

/** Drops: a popover beside the button that opens it. Esc, a click elsewhere and the focus are the browser's. */

const GAP_PX = 4;
const EDGE_PX = 8; // between a panel and the edges of the window

/**
 * @param {HTMLElement} button @param {HTMLElement} panel
 * @param {{opened?: () => void, closed?: () => void, side?: "left" | "right", isAbove?: boolean}} [more]
 *   `side`: the edge that both share
 */
export function makeDrop(button, panel, { opened, closed, side = "left", isAbove = false } = {}) {
  panel.popover = "auto";
  /** @type {HTMLButtonElement} */ (button).popoverTargetElement = panel;
  panel.addEventListener("beforetoggle", (event) => /** @type {ToggleEvent} */ (event).newState === "open" && placeBeside(button, panel, { side, isAbove }));
  panel.addEventListener("toggle", (event) => {
    const isOpen = /** @type {ToggleEvent} */ (event).newState === "open";
    if (button.hasAttribute("aria-expanded")) button.setAttribute("aria-expanded", String(isOpen));
    (isOpen ? opened : closed)?.();
  });
}

/**
 * Put a panel that floats below a button, or above it.
 * @param {HTMLElement} button @param {HTMLElement} panel @param {{side?: "left" | "right", isAbove?: boolean}} [more]
 */
export function placeBeside(button, panel, { side = "left", isAbove = false } = {}) {
  const { left, right, bottom, top } = button.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  if (isAbove) panel.style.bottom = `${clientHeight - top + GAP_PX}px`;
  else panel.style.top = `${bottom + GAP_PX}px`;
  const most = clientWidth - 2 * EDGE_PX;
  const width = Math.min(most, parseFloat(getComputedStyle(panel).width)); // it has one before it is shown
  const start = side === "left" ? left : right - width;
  panel.style.maxWidth = `${most}px`;
  panel.style.left = `${Math.max(EDGE_PX, Math.min(start, clientWidth - EDGE_PX - width))}px`;
}

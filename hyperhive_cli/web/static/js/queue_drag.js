/** Dragging the items of a list by their grips, with a mouse, a pen or a finger. */

const EDGE_PX = 40; // of the part that scrolls
const STEP_PX = 12;

/**
 * @param {HTMLElement} list @param {HTMLElement} scroller the part that scrolls
 * @param {(item: HTMLElement, place: number) => void} dropped told where an item was put; its element is there already
 */
export function makeDraggable(list, scroller, dropped) {
  list.addEventListener("pointerdown", (event) => {
    const grip = event.target instanceof Element ? event.target.closest("button.grip") : null;
    const item = /** @type {HTMLElement | null} */ (grip?.closest("li"));
    if (!grip || !item || event.button !== 0) return;
    event.preventDefault(); // neither a selection nor a scroll
    /** @type {HTMLElement} */ (grip).focus();
    drag(list, item, scroller, event.pointerId, dropped);
  });
}

/**
 * @param {HTMLElement} list @param {HTMLElement} item @param {HTMLElement} scroller @param {number} pointer
 * @param {(item: HTMLElement, place: number) => void} dropped
 */
function drag(list, item, scroller, pointer, dropped) {
  const start = item.nextSibling;
  const stop = new AbortController();
  const { signal } = stop;
  item.classList.add("dragged");
  list.classList.add("dragging");
  const end = () => {
    stop.abort();
    item.classList.remove("dragged");
    list.classList.remove("dragging");
  };
  const giveUp = () => {
    end();
    list.insertBefore(item, start);
  };
  const isOther = (/** @type {PointerEvent} */ event) => event.pointerId !== pointer;
  document.addEventListener("pointermove", (event) => {
    if (isOther(event)) return;
    scrollAtEdge(scroller, event.clientY);
    place(list, item, event.clientY);
  }, { signal });
  document.addEventListener("pointerup", (event) => {
    if (isOther(event)) return;
    end();
    if (item.nextSibling !== start) dropped(item, [...list.children].indexOf(item));
  }, { signal });
  document.addEventListener("pointercancel", giveUp, { signal });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    giveUp();
  }, { signal, capture: true });
}

/** Put the item where the pointer is. @param {HTMLElement} list @param {HTMLElement} item @param {number} y */
function place(list, item, y) {
  const middle = (/** @type {Element} */ one) => {
    const { top, height } = one.getBoundingClientRect();
    return top + height / 2;
  };
  const next = [...list.children].find((one) => one !== item && y < middle(one)) ?? null;
  if (next !== item.nextSibling) list.insertBefore(item, next);
}

/** @param {HTMLElement} scroller @param {number} y */
function scrollAtEdge(scroller, y) {
  const { top, bottom } = scroller.getBoundingClientRect();
  if (y < top + EDGE_PX) scroller.scrollTop -= STEP_PX;
  else if (y > bottom - EDGE_PX) scroller.scrollTop += STEP_PX;
}

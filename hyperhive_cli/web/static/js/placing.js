/** Keeping the page's elements in step with a list, and the reader's place while it changes. */

/**
 * Make these elements the children of a parent. What stays is not moved: it keeps its focus and how far it is scrolled.
 * @param {HTMLElement} parent @param {Element[]} elements
 */
export function place(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const element of elements) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

const CANDIDATES = 6; // elements that may give the place: the first ones may leave the page

/**
 * Change the page, and keep what the reader sees where it is.
 * @param {HTMLElement} scroller
 * @param {(top: number) => Iterable<Element>} leaves elements in their order, which may start with the first below `top`
 * @param {() => void} change
 */
export function keepPlace(scroller, leaves, change) {
  const top = scroller.getBoundingClientRect().top;
  /** @type {[Element, number][]} */
  const seen = [];
  for (const leaf of leaves(top)) {
    const { top: start, bottom } = leaf.getBoundingClientRect();
    if (bottom <= top) continue;
    seen.push([leaf, start]);
    if (seen.length === CANDIDATES) break;
  }
  // The browser keeps the place too, but not at the very start: it must not do it twice.
  scroller.style.overflowAnchor = "none";
  change();
  const kept = seen.find(([leaf]) => leaf.isConnected);
  if (kept) scroller.scrollTop += kept[0].getBoundingClientRect().top - kept[1];
  scroller.style.overflowAnchor = "";
}

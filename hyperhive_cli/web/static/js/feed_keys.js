/** Moving through the feed by keys: from turn to turn, from failure to failure, and copying a block. */

const MARGIN_PX = 8;
const FAILURES = ".turn-head .tag.bad, .call.is-bad, .foot .bad";

/**
 * Go to the next or previous element, as seen from the top of the feed.
 * @param {HTMLElement} feed @param {string} selector @param {1 | -1} direction
 */
function go(feed, selector, direction) {
  const { top } = feed.getBoundingClientRect();
  const at = (/** @type {Element} */ one) => one.getBoundingClientRect().top - top;
  const all = [...feed.querySelectorAll(selector)].filter((one) => one instanceof HTMLElement && one.offsetParent);
  const focused = all.indexOf(/** @type {Element} */ (document.activeElement));
  const found =
    focused >= 0
      ? all[focused + direction]
      : direction > 0
        ? all.find((one) => at(one) > MARGIN_PX)
        : all.findLast((one) => at(one) < -MARGIN_PX);
  if (!(found instanceof HTMLElement)) return;
  found.scrollIntoView({ block: "start" });
  const target = found.matches("details") ? found.querySelector("summary") : found;
  if (target && target === found) found.tabIndex = -1;
  target?.focus({ preventScroll: true });
}

/** @param {HTMLElement} feed @param {1 | -1} direction */
export function goTurn(feed, direction) {
  go(feed, ".turn", direction);
}

/** @param {HTMLElement} feed @param {1 | -1} direction */
export function goFailure(feed, direction) {
  go(feed, FAILURES, direction);
}

/** Return the text of the block that has the focus, or of the turn; "" outside of the feed. @param {HTMLElement} feed */
export function focusedBlock(feed) {
  const focused = document.activeElement;
  if (!focused || !feed.contains(focused)) return "";
  const block = focused.closest(".call, .msg, .prose, .out, .turn");
  return block instanceof HTMLElement ? block.innerText.trim() : "";
}

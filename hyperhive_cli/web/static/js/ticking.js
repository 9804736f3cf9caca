/** Running times of the feed: elements that say since when, or until when, are redrawn each second. */

import { setText } from "./dom.js";
import { clock } from "./text.js";

/** @param {ParentNode} root */
export function tick(root) {
  const now = Date.now();
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-since], [data-until]"))) {
    const { since, until, words = "" } = element.dataset;
    const ms = since === undefined ? Number(until) - now : now - Number(since);
    const isDue = since === undefined && ms <= 0;
    setText(element, `${words}${isDue ? "a moment" : clock(Math.max(0, ms) / 1000)}`);
  }
}

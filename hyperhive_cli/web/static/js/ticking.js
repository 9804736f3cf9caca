/** Running times of the feed: elements that say since when, or until when, are redrawn each second. */

import { setText } from "./dom.js";
import { clock } from "./text.js";

/** @param {ParentNode} root */
export function tick(root) {
  const now = Date.now();
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-since], [data-until]"))) {
    const { since, until, words = "" } = element.dataset;
    const ms = since === undefined ? Math.max(0, Number(until) - now) : Math.max(0, now - Number(since));
    setText(element, `${words}${clock(ms / 1000)}`);
  }
}

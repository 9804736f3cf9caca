/** What a screen reader is told while the page is live: the turns and what needs a person, not each row. Pure. */

import { endRemarks, statusWords } from "./facts.js";
import { oneLine, textOf } from "./text.js";

/** @param {Record<string, any>} event */
const endWord = (event) => oneLine(textOf(event.outcome), 30).replaceAll("_", " ") || "done";

/** @param {Record<string, any>} event */
export function spokenOf(event) {
  switch (event.kind) {
    case "turn_start":
      return `Turn started, message from ${oneLine(textOf(event.from), 40) || "someone"}`;
    case "turn_end":
      return `Turn ended: ${[endWord(event), ...endRemarks(event)].join(", ")}`;
    case "status_changed":
      return `Agent ${statusWords(event.status)[0]}`;
    case "note":
      return event.level === "error" || event.level === "warning" ? oneLine(textOf(event.text), 160) : "";
    default:
      return "";
  }
}

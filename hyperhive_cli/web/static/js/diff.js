/** A change to a file as lines: numbers, signs, and the text in red and green. */

import { folded, h } from "./dom.js";
import { plural } from "./text.js";

/** @import { Hunk } from "./rows.js" */

const OPEN_LINES = 16; // of a diff that are shown unfolded
const MAX_LINES = 2000;
const MAX_LINE_CHARS = 2000;

/** @param {Hunk[]} hunks */
export function diffElement(hunks) {
  const total = hunks.reduce((sum, hunk) => sum + hunk.lines.length, Math.max(0, hunks.length - 1));
  const lines = firstLines(hunks);
  const shown = h("div", { class: "diff", role: "group", "aria-label": "change" }, ...lines.slice(0, OPEN_LINES));
  const rest = lines.slice(OPEN_LINES);
  if (!rest.length) return shown;
  const more = plural(total - OPEN_LINES, "line");
  const label = total > MAX_LINES ? `+${more}, the first ${MAX_LINES} of them` : `+${more}`;
  shown.append(folded("more", [h("span", "", label)], () => rest));
  return shown;
}

/** Make elements of the first lines only: a written file may have a million. @param {Hunk[]} hunks */
function firstLines(hunks) {
  const lines = [];
  for (const [index, hunk] of hunks.entries()) {
    if (lines.length >= MAX_LINES) break;
    if (index) lines.push(h("div", "hunk", "⋯"));
    lines.push(...hunkLines(hunk, MAX_LINES - lines.length));
  }
  return lines;
}

/** @param {Hunk} hunk @param {number} limit */
function hunkLines(hunk, limit) {
  let [old, fresh] = [hunk.old_start, hunk.new_start];
  const isNumbered = hunk.new_start > 0;
  return hunk.lines.slice(0, limit).map((line) => {
    const sign = line[0] ?? " ";
    const number = sign === "-" ? old : fresh;
    if (sign !== "+") old += 1;
    if (sign !== "-") fresh += 1;
    return h(
      "div",
      { "+": "added", "-": "removed" }[sign] ?? "kept",
      h("span", "number", isNumbered ? String(number) : ""),
      h("span", "sign", sign),
      h("span", "", line.slice(1, 1 + MAX_LINE_CHARS)),
    );
  });
}

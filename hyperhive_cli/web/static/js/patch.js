/** A change to a file as lines: numbers, signs, and the words in red and green. */

import { folded, h } from "./dom.js";
import { clean, plural } from "./text.js";

/** @import { Hunk } from "./tool.js" */

const OPEN_LINES = 16; // of a change that are shown unfolded
const MOST_LINES = 2000;
const MOST_CHARS = 2000; // of a line

/** @param {Hunk[]} hunks */
export function patchElement(hunks) {
  const total = hunks.reduce((sum, hunk) => sum + hunk.lines.length, Math.max(0, hunks.length - 1));
  const rows = firstRows(hunks);
  const shown = h("div", { class: "patch", role: "group", "aria-label": "change" }, ...rows.slice(0, OPEN_LINES));
  const rest = rows.slice(OPEN_LINES);
  if (!rest.length) return shown;
  const more = plural(total - OPEN_LINES, "line");
  const label = total > MOST_LINES ? `+${more}, the first ${MOST_LINES} of them` : `+${more}`;
  shown.append(folded("more", [h("span", "", label)], () => rest));
  return shown;
}

/** Make no element of what is not shown: a file that is written may have a million lines. @param {Hunk[]} hunks */
function firstRows(hunks) {
  const rows = [];
  for (const [index, hunk] of hunks.entries()) {
    if (rows.length >= MOST_LINES) break;
    if (index) rows.push(h("div", "hunk", "⋯"));
    rows.push(...hunkRows(hunk, MOST_LINES - rows.length));
  }
  return rows;
}

/** @param {Hunk} hunk @param {number} most */
function hunkRows(hunk, most) {
  let [old, fresh] = [hunk.oldStart, hunk.newStart];
  const numbered = hunk.newStart > 0;
  return hunk.lines.slice(0, most).map((line) => {
    const sign = line[0] ?? " ";
    const number = sign === "-" ? old : fresh;
    if (sign !== "+") old += 1;
    if (sign !== "-") fresh += 1;
    const kind = { "+": "added", "-": "removed" }[sign] ?? "kept";
    return h(
      "div",
      kind,
      h("span", "number", numbered ? String(number) : ""),
      h("span", "sign", sign),
      h("span", "", clean(line.slice(1, 1 + MOST_CHARS))),
    );
  });
}

/** A change to a file: old and new number, sign, text; the washes are the style sheet's. */

import { diffLines } from "./diff_lines.js";
import { h } from "./dom.js";
import { counted } from "./feed_words.js";

/** @import { Hunk } from "./rows.js" */
/** @import { DiffLine } from "./diff_lines.js" */

const OPEN_LINES = 60; // that are drawn first
const DRAWN_LINES = 2000; // that are drawn at all: a written file may have a million
const DRAWN_CHARS = 2000; // of a line
const SIGNS = { add: "+", del: "−", kept: " ", hunk: " " };

/**
 * @param {Hunk[]} hunks
 * @param {() => Promise<Hunk[]>} whole returns them with nothing left off
 */
export function diffElement(hunks, whole) {
  const cut = hunks.reduce((sum, hunk) => sum + (hunk.cut ?? 0), 0);
  const lines = diffLines(hunks);
  const table = h("div", { class: "diff", tabindex: "0", role: "group", "aria-label": "diff" }, ...lines.slice(0, OPEN_LINES).map(lineElement));
  const left = lines.length - OPEN_LINES + cut;
  if (left <= 0) return h("div", "out", table);
  const button = h("button", { class: "btn small", type: "button" }, `Show ${counted(left, "line")}`);
  const more = h("div", "more", button);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const all = cut ? diffLines(await whole()) : lines;
      const rest = all.slice(OPEN_LINES, DRAWN_LINES);
      table.append(...rest.map(lineElement));
      const undrawn = all.length - OPEN_LINES - rest.length;
      if (undrawn > 0) more.replaceChildren(`${counted(undrawn, "more line")}: hyperhive show`);
      else more.remove();
    } catch (error) {
      button.disabled = false;
      button.textContent = `Not loaded: ${error instanceof Error ? error.message : error}. Try again`;
    }
  });
  return h("div", "out", table, more);
}

/** @param {DiffLine} line */
function lineElement({ kind, old, fresh, text, mark }) {
  const numbers = [old, fresh].map((number) => h("span", "", number === null ? "" : String(number)));
  const shown = text.slice(0, DRAWN_CHARS);
  const [start, end] = mark ?? [shown.length, shown.length];
  const pieces = [shown.slice(0, start), start < end && h("mark", "", shown.slice(start, end)), shown.slice(end)];
  return h("div", kind === "kept" ? "" : kind, ...numbers, h("span", "", SIGNS[kind]), h("span", "", ...pieces));
}

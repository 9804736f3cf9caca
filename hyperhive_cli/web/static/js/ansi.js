/** Text of a tool as nodes: its colours become classes of the style sheet; no other code of a terminal has an effect. */

import { h } from "./dom.js";

/** @import { Piece } from "./rows.js" */

/** The eight colours → classes; the others of a terminal come as one of them. @type {Record<string, string>} */
const COLOUR_CLASSES = {
  black: "ax", red: "ar", green: "ag", yellow: "ay", blue: "al", magenta: "am", cyan: "ac", white: "",
};

/** Return the part from `start` to `end`. @param {Piece} piece @param {number} start @param {number} end @returns {(Node | string)[]} */
export function pieceNodes({ text, spans }, start = 0, end = text.length) {
  if (!spans) return [text.slice(start, end)];
  const nodes = [];
  let at = 0;
  for (const [part, colour, isBold] of spans) {
    if (at >= end) break;
    const shown = part.slice(Math.max(0, start - at), Math.max(0, end - at));
    const classes = [COLOUR_CLASSES[colour], isBold && "ab"].filter(Boolean).join(" ");
    if (shown) nodes.push(classes ? h("span", classes, shown) : shown);
    at += part.length;
  }
  return nodes;
}

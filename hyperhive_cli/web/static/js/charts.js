/**
 * Small charts of the last turns, drawn as SVG: the number first, then the shape. The pointer, or ← and → with the
 * focus, show the value of a turn; a click, or Enter, goes to it.
 */

import { h, setText } from "./dom.js";
import { newestOf } from "./figures_of_turns.js";

/** @import { Chart } from "./figures_of_turns.js" */

const WIDTH = 140;
const HEIGHT = 36;
const GAP = 2;
const MOST_REM = 1.5; // of a turn: the chart of a few is narrow
const SVG_NAMES = "http://www.w3.org/2000/svg";

/**
 * Make one chart. @param {Chart} chart @param {number[]} turns their numbers
 * @param {(turn: number) => string} address @param {(turn: number) => void} open
 */
export function chartElement(chart, turns, address, open) {
  const newest = newestOf(chart);
  if (newest.value === null) {
    return h("div", "chart", h("dt", "", chart.title), h("dd", "quiet meta", chart.none));
  }
  const figure = h("b", "num", chart.form(newest.value));
  const whose = h("span", "quiet meta num");
  const link = h("a", { class: "plot", href: address(turns[newest.at]) }, shapeOf(chart));
  link.style.maxWidth = `${turns.length * MOST_REM}rem`;
  let at = newest.at;
  const name = () => {
    const value = chart.values[at];
    const words = value === null ? "–" : chart.form(value);
    setText(figure, words);
    setText(whose, at === newest.at ? "" : `#${turns[at]}`);
    link.href = address(turns[at]);
    link.setAttribute("aria-label", `${chart.title}: ${words}, turn ${turns[at]}`);
    link.style.setProperty("--at", String((at + 0.5) / turns.length));
  };
  /** @param {number} place */
  const point = (place) => {
    at = Math.max(0, Math.min(turns.length - 1, place));
    name();
  };
  link.addEventListener("pointermove", (event) => {
    const { left, width } = link.getBoundingClientRect();
    point(Math.floor(((event.clientX - left) / width) * turns.length));
  });
  const leave = () => document.activeElement !== link && point(newest.at);
  link.addEventListener("pointerleave", leave);
  link.addEventListener("blur", () => point(newest.at));
  link.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -turns.length, End: turns.length }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    point(at + step);
  });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a tab of its own
    event.preventDefault();
    open(turns[at]);
  });
  name();
  return h("div", "chart", h("dt", "", chart.title), h("dd", "", figure, " ", whose, link));
}

/** @param {Chart} chart */
function shapeOf({ values, isLine }) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const most = Math.max(...values.map((value) => value ?? 0)) || 1;
  const y = (/** @type {number} */ value) => round(HEIGHT - (value / most) * (HEIGHT - GAP));
  if (isLine) picture.append(...lineOf(values, y));
  else picture.append(...barsOf(values, y));
  return picture;
}

/** @param {(number | null)[]} values @param {(value: number) => number} y */
function barsOf(values, y) {
  const step = WIDTH / values.length;
  const width = Math.max(1, step - GAP);
  return values.flatMap((value, at) => {
    if (value === null) return [];
    const height = Math.max(1, HEIGHT - y(value));
    const newest = at === values.length - 1 ? "bar newest" : "bar";
    return [svg("rect", { x: round(at * step), y: HEIGHT - height, width: round(width), height, class: newest })];
  });
}

/** A line is broken where there is no value; its area is filled. @param {(number | null)[]} values @param {(value: number) => number} y */
function lineOf(values, y) {
  const step = WIDTH / values.length;
  /** @type {string[][]} */
  const runs = [[]];
  values.forEach((value, at) => {
    if (value === null) runs.push([]);
    else runs[runs.length - 1].push(`${round((at + 0.5) * step)},${y(value)}`);
  });
  for (const run of runs) if (run.length === 1) run.push(`${round(Number(run[0].split(",")[0]) + step / 2)},${run[0].split(",")[1]}`); // short, but a line
  return runs.filter((run) => run.length).flatMap((run) => {
    const [first, last] = [run[0].split(",")[0], run[run.length - 1].split(",")[0]];
    const points = run.join(" ");
    const area = svg("polygon", { points: `${first},${HEIGHT} ${points} ${last},${HEIGHT}`, class: "area" });
    return [area, svg("polyline", { points, class: "line", "vector-effect": "non-scaling-stroke" })];
  });
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function svg(tag, attributes) {
  const element = document.createElementNS(SVG_NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}

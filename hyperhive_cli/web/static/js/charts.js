/** Charts of the last turns, and when they are drawn. */

import { find, h } from "./dom.js";
import { count, dollars, duration, moment, number, plural, string, tokens } from "./text.js";
import { isOk, outcomeSign } from "./vocabulary.js";

/** @import { Api } from "./api.js" */
/** @typedef {{label: string, values: (number | null)[], colour: string, isBar?: boolean}} Line `colour`: the name of a CSS variable */

const MAX_TURNS = 40;
const HEIGHT_PX = 84;
const MIN_WIDTH_PX = 160;
const AXIS_PX = 52;

export class Charts {
  /** @param {Api} api */
  constructor(api) {
    this.api = api;
    this.root = find(".plots");
    /** @type {Record<string, any>[]} */
    this.turns = [];
    this.newest = 0;
    /** @type {any} */
    this.library = null;
    /** @type {any[]} */
    this.plots = [];
    this.isBusy = false;
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  /** Read the turns up to this one, the last finished, and draw. @param {number | null} newest */
  async showUpTo(newest) {
    if (!newest || newest === this.newest || this.isBusy || this.root.offsetParent === null) return; // drawn when they are visible
    this.isBusy = true;
    try {
      this.turns = (await this.api.get(`turns?limit=${MAX_TURNS}`)).turns;
      this.library ??= (await import("../vendor/uplot.js")).default;
      this.newest = newest;
      this.draw();
    } catch {
      // The next refresh of the agent's state tries again; the banner shows what is wrong.
    } finally {
      this.isBusy = false;
    }
  }

  /** Draw again in other colours. */
  redraw() {
    if (this.library && this.newest) this.draw();
  }

  draw() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    const { turns } = this;
    if (!turns.length) {
      this.root.replaceChildren(h("p", "quiet", "No turn has finished yet."));
      return;
    }
    this.root.replaceChildren(outcomes(turns));
    const ids = turns.map((turn) => turn.turn_id);
    const of = (/** @type {(turn: any) => number | null} */ value) => turns.map(value);
    const read = (/** @type {any} */ turn) => count(turn.cache_read_input_tokens);
    const all = (/** @type {any} */ turn) =>
      count(turn.input_tokens) + count(turn.cache_creation_input_tokens) + read(turn);
    const price = (/** @type {number} */ value) => (value ? dollars(value) : "$0");
    this.plot("context", ids, tokens, [
      { label: "", values: of((turn) => number(turn.context_tokens)), colour: "--call" },
    ]);
    this.plot("tokens in", ids, tokens, [
      { label: "", values: of(all), colour: "--fine", isBar: true },
      { label: "from the cache", values: of(read), colour: "--quiet", isBar: true },
    ]);
    this.plot("tokens out", ids, tokens, [
      { label: "", values: of((turn) => turn.output_tokens), colour: "--fine", isBar: true },
    ]);
    this.plot("dollars", ids, price, [
      { label: "", values: of((turn) => number(turn.cost_usd)), colour: "--warn", isBar: true },
    ]);
  }

  /** @param {string} title @param {number[]} ids @param {(value: number) => string} form @param {Line[]} lines */
  plot(title, ids, form, lines) {
    const wordsAt = (/** @type {number} */ at) =>
      lines.map((line) => `${form(line.values[at] ?? 0)} ${line.label}`.trim()).join(", ");
    const newest = wordsAt(ids.length - 1);
    const figure = h("span", "quiet", newest);
    const holder = h("div", "plot");
    const label = `${title} of the last ${plural(ids.length, "turn")}; last: ${newest}`;
    this.root.append(
      h("figure", { role: "img", "aria-label": label }, h("figcaption", "", h("b", "", title), " ", figure), holder),
    );
    const point = (/** @type {number | null | undefined} */ at) => {
      figure.textContent = at === null || at === undefined ? newest : `#${ids[at]}: ${wordsAt(at)}`;
    };
    const size = { width: Math.max(MIN_WIDTH_PX, holder.clientWidth), height: HEIGHT_PX };
    const options = { ...size, ...plotOptions(this.library, ids, form, lines, point) };
    this.plots.push(new this.library(options, [ids, ...lines.map((line) => line.values)], holder));
  }

  resize() {
    if (this.root.offsetParent === null) return;
    for (const plot of this.plots) {
      const width = Math.max(MIN_WIDTH_PX, plot.root.parentElement?.clientWidth ?? 0);
      if (plot.width !== width) plot.setSize({ width, height: HEIGHT_PX });
    }
  }
}

/** A sign for each turn, oldest first. @param {Record<string, any>[]} turns */
function outcomes(turns) {
  const ok = turns.filter((turn) => isOk(turn.outcome)).length;
  const signs = turns.map((turn) => {
    const [sign, tone] = outcomeSign(turn.outcome, turn.denied);
    const took = duration(count(turn.duration_ms) / 1000);
    const tools = plural(count(turn.tool_call_count), "tool");
    const facts = [string(turn.outcome), took, tools, ...turn.remarks, moment(turn.started)];
    return h("span", { class: tone, title: `#${turn.turn_id} ${facts.filter(Boolean).join(", ")}` }, sign);
  });
  const caption = h("figcaption", "", h("b", "", "outcomes"), " ", h("span", "quiet", `${ok} ok of ${turns.length}`));
  const label = `outcomes: ${ok} ok of the last ${turns.length}`;
  return h("figure", { role: "img", "aria-label": label }, caption, h("div", "signs", ...signs));
}

/**
 * Return the plotting library's options for a chart of turns, in the page's colours.
 * @param {any} library @param {number[]} ids of the turns @param {(value: number) => string} form of a figure
 * @param {Line[]} lines @param {(at: number | null | undefined) => void} point called when the pointer is on a turn, or leaves it
 */
function plotOptions(library, ids, form, lines, point) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--quiet"), ticks: { show: false }, font: "11px system-ui" };
  const named = (/** @type {unknown} */ _, /** @type {number[]} */ at) =>
    at.map((id) => (Number.isInteger(id) ? `#${id}` : ""));
  const top = (/** @type {number} */ most) => (most > 0 ? most * 1.1 : 1);
  const range = (/** @type {unknown} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, top(most)];
  return {
    legend: { show: false },
    cursor: { y: false, points: { size: 5 } },
    scales: { x: { time: false, range: [ids[0] - 0.6, ids[ids.length - 1] + 0.6] }, y: { range } },
    axes: [
      { ...axis, size: 20, grid: { show: false }, incrs: [1, 2, 5, 10, 20], values: named },
      {
        ...axis,
        size: AXIS_PX,
        space: 24,
        grid: { stroke: colour("--line"), width: 1 },
        values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map(form),
      },
    ],
    series: [{}, ...lines.map((line) => series(library, line, colour(line.colour), ids.length))],
    hooks: { setCursor: [(/** @type {any} */ plot) => point(plot.cursor.idx)] },
  };
}

/** @param {any} library @param {Line} line @param {string} colour @param {number} turns */
function series(library, line, colour, turns) {
  if (!line.isBar) return { stroke: colour, width: 1.5, points: { show: turns < 25, size: 4 } };
  return {
    stroke: colour,
    fill: colour,
    width: 0,
    paths: library.paths.bars({ size: [0.7, 22, 2] }),
    points: { show: false },
  };
}

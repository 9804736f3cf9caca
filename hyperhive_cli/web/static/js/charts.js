/** The last turns as charts: context, tokens, dollars, outcomes. Each turn is asked for once. */

import { find, h, setText } from "./dom.js";
import { signOf } from "./facts.js";
import { dollars, duration, moment, number, plural, string, tokens } from "./text.js";

/** @import { Api } from "./access.js" */

const MOST_TURNS = 40;
const AT_ONCE = 6; // requests: so many a browser sends side by side
const HEIGHT_PX = 92;

export class Charts {
  /** @param {Api} api */
  constructor(api) {
    this.api = api;
    this.root = find(".plots");
    /** @type {Map<number, Record<string, any> | null>} */
    this.turns = new Map();
    this.newest = 0;
    /** @type {any} */
    this.library = null;
    /** @type {any[]} */
    this.plots = [];
    this.isBusy = false;
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  /** Read the turns up to this one that are not known yet, and draw. @param {number | null} newest */
  async upTo(newest) {
    if (!newest || this.isBusy || this.root.offsetParent === null) return; // not seen now: drawn when it is
    const wanted = Array.from({ length: Math.min(MOST_TURNS, newest) }, (_, index) => newest - index);
    const missing = wanted.filter((id) => !this.turns.has(id));
    if (!missing.length && newest === this.newest) return;
    this.isBusy = true;
    try {
      for (let at = 0; at < missing.length; at += AT_ONCE) await Promise.all(missing.slice(at, at + AT_ONCE).map((id) => this.ask(id)));
      this.library ??= (await import("../vendor/uplot.js")).default;
      this.newest = newest;
      this.draw();
    } finally {
      this.isBusy = false;
    }
  }

  /** @param {number} id */
  async ask(id) {
    const turn = await this.api.get(`turns/${id}`).catch(() => null);
    // One that runs has no figures yet: it is asked for again when it has ended.
    if (turn === null || turn.outcome) this.turns.set(id, turn?.outcome ? turn : null);
    this.turns.delete(id - MOST_TURNS);
  }

  /** Draw again: the colours or the room have changed. */
  redraw() {
    if (this.library && this.newest) this.draw();
  }

  draw() {
    const turns = [...this.turns.values()].filter((turn) => turn !== null);
    turns.sort((one, other) => one.turn_id - other.turn_id);
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    if (!turns.length) {
      this.root.replaceChildren(h("p", "quiet", "No turn has ended yet."));
      return;
    }
    const shown = turns.slice(-MOST_TURNS);
    this.root.replaceChildren(outcomes(shown));
    const ids = shown.map((turn) => turn.turn_id);
    const input = (/** @type {any} */ turn) => turn.input_tokens + turn.cache_read_input_tokens + turn.cache_creation_input_tokens;
    const bars = this.library.paths.bars({ size: [0.7, 24, 2] });
    this.plot("context", ids, [{ label: "tokens", values: shown.map((turn) => number(turn.context_tokens)), colour: "--call" }], tokens);
    const went = { label: "in", values: shown.map(input), colour: "--fine", paths: bars };
    const came = { label: "out", values: shown.map((turn) => turn.output_tokens), colour: "--warn" };
    this.plot("tokens", ids, [went, came], tokens);
    const cost = { label: "$", values: shown.map((turn) => number(turn.cost_usd)), colour: "--call", paths: bars };
    this.plot("dollars", ids, [cost], (value) => dollars(value) || "$0");
  }

  /**
   * @param {string} title @param {number[]} ids
   * @param {{label: string, values: (number | null)[], colour: string, paths?: unknown}[]} lines
   * @param {(value: number) => string} form
   */
  plot(title, ids, lines, form) {
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const said = h("span", "quiet");
    const newest = lines.map((line) => `${line.label === title ? "" : `${line.label} `}${form(line.values.at(-1) ?? 0)}`).join(", ");
    setText(said, newest);
    const holder = h("div", "plot");
    const summary = `${title} of the last ${plural(ids.length, "turn")}; newest: ${newest}`;
    this.root.append(h("figure", { role: "img", "aria-label": summary }, h("figcaption", "", h("b", "", title), " ", said), holder));
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const options = {
      width: Math.max(160, holder.clientWidth),
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { y: false, points: { size: 5 } },
      scales: { x: { time: false, range: [ids[0] - 0.6, /** @type {number} */ (ids.at(-1)) + 0.6] }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, size: 20, grid: { show: false }, incrs: [1, 2, 5, 10, 20], values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((id) => (Number.isInteger(id) ? `#${id}` : "")) },
        { ...axis, size: 46, space: 28, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map(form) },
      ],
      series: [
        {},
        ...lines.map((line) => ({ label: line.label, stroke: colour(line.colour), fill: line.paths ? `${colour(line.colour)}66` : undefined, width: 1.5, paths: line.paths, points: { show: !line.paths && ids.length < 25, size: 4 } })),
      ],
      hooks: {
        setCursor: [
          (/** @type {any} */ plot) => {
            const at = plot.cursor.idx;
            const words = lines.map((line) => `${line.label} ${form(line.values[at] ?? 0)}`).join(", ");
            setText(said, at === null || at === undefined ? newest : `#${ids[at]}: ${words}`);
          },
        ],
      },
    };
    this.plots.push(new this.library(options, [ids, ...lines.map((line) => line.values)], holder));
  }

  resize() {
    for (const plot of this.plots) {
      const width = Math.max(160, plot.root.parentElement?.clientWidth ?? 0);
      if (plot.width !== width && this.root.offsetParent !== null) plot.setSize({ width, height: HEIGHT_PX });
    }
  }
}

/** A sign for each turn, oldest first. @param {Record<string, any>[]} turns */
function outcomes(turns) {
  const ok = turns.filter((turn) => turn.outcome === "ok").length;
  const signs = turns.map((turn) => {
    const [sign, tone] = signOf(turn.outcome);
    const took = duration((turn.duration_ms ?? 0) / 1000);
    const title = `#${turn.turn_id} ${string(turn.outcome)}, ${took}, ${plural(turn.tool_call_count, "tool")}, ${moment(turn.started)}`;
    return h("span", { class: tone, title }, sign);
  });
  const label = `outcomes: ${ok} ok of the last ${turns.length}`;
  const caption = h("figcaption", "", h("b", "", "outcomes"), " ", h("span", "quiet", `${ok} ok of ${turns.length}`));
  return h("figure", { role: "img", "aria-label": label }, caption, h("div", "signs", ...signs));
}

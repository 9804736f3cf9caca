/** What the agent uses: its budget, the outcomes of the last turns, and their charts. */

import { pageOf } from "./agents.js";
import { chartElement } from "./charts.js";
import { find, h, setText } from "./dom.js";
import { budgetBars, chartsOf, fateOf, outcomesWords, planBars, turnWords } from "./figures_of_turns.js";
import { count } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */
/** @import { Bar, Fate, Turn } from "./figures_of_turns.js" */

const MOST_TURNS = 30;
const NEARLY_USED = 0.8;
/** Fate → the class of its bar in the strip, which says how high it is. @type {Record<Fate, string>} */
const BARS = { ok: "", waited: "w", failed: "b", cancelled: "n" };

export class Usage {
  /**
   * @param {string} agent @param {Api} api
   * @param {{toTurn: (turn: number) => void, raise: () => void}} acts
   */
  constructor(agent, api, acts) {
    this.agent = agent;
    this.api = api;
    this.acts = acts;
    this.bars = find(".budget .bars");
    this.change = find(".raise-b");
    this.root = find(".usage");
    this.newest = 0;
    this.wanted = 0;
    this.isBusy = false;
    this.drawnBars = "";
    this.change.addEventListener("click", () => acts.raise());
    new ResizeObserver(() => this.showUpTo(this.wanted)).observe(find(".side"));
  }

  /** @param {AgentState} state */
  setState(state) {
    this.drawBudget(state);
    this.showUpTo(count(state.last_turn?.turn_id));
  }

  /** @param {AgentState} state */
  drawBudget(state) {
    const bars = [...budgetBars(state), ...planBars(state, Date.now())];
    const key = JSON.stringify(bars);
    this.change.hidden = !(state.running && !state.hive && state.budget?.today?.limit_usd);
    if (key === this.drawnBars) return;
    this.drawnBars = key;
    this.bars.replaceChildren(...bars.map(barElement));
    if (!state.budget) this.bars.append(h("p", "quiet meta no-limit", "No limit is set: ", h("code", "", "hyperhive run --max-day-cost")));
  }

  /** Read the turns up to this one, the last finished, and draw them; when they can be seen. @param {number} newest */
  async showUpTo(newest) {
    this.wanted = newest;
    if (!newest || newest === this.newest || this.isBusy || this.root.offsetParent === null) return;
    this.isBusy = true;
    try {
      const { turns } = await this.api.get(`turns?limit=${MOST_TURNS}`);
      this.newest = newest;
      this.draw(turns);
    } catch {
      // The next state tries again; the now bar shows what is wrong.
    } finally {
      this.isBusy = false;
    }
  }

  /** @param {Turn[]} turns */
  draw(turns) {
    const list = find(".charts", this.root);
    list.hidden = !turns.length;
    find(".no-turns", this.root).hidden = Boolean(turns.length);
    setText(find("h2", this.root), turns.length > 1 ? `Last ${turns.length} turns` : "Last turn");
    const numbers = turns.map((turn) => count(turn.turn_id));
    const address = (/** @type {number} */ turn) => this.address(turn);
    const open = (/** @type {number} */ turn) => this.acts.toTurn(turn);
    const charts = chartsOf(turns).map((chart) => chartElement(chart, numbers, address, open));
    list.replaceChildren(this.strip(turns), ...charts);
  }

  /** @param {number} turn */
  address(turn) {
    return `${pageOf(this.agent)}/turns/${turn}`;
  }

  /** A bar for each turn, by height as well as by colour. One of them has the focus; ← and → move it. @param {Turn[]} turns */
  strip(turns) {
    const now = Date.now();
    const links = turns.map((turn, at) => {
      const words = turnWords(turn, now);
      const isNewest = at === turns.length - 1;
      const link = h("a", { class: BARS[fateOf(turn)], href: this.address(turn.turn_id), title: words, "aria-label": words, tabindex: isNewest ? "0" : "-1" });
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a tab of its own
        event.preventDefault();
        this.acts.toTurn(count(turn.turn_id));
      });
      return link;
    });
    const strip = h("div", { class: "strip", role: "group", "aria-label": "outcomes" }, ...links);
    strip.addEventListener("keydown", (event) => {
      const at = links.findIndex((link) => link === event.target);
      const next = { ArrowLeft: links[at - 1], ArrowRight: links[at + 1], Home: links[0], End: links[links.length - 1] }[event.key];
      if (at < 0 || !next) return;
      event.preventDefault();
      event.stopPropagation();
      for (const link of links) link.tabIndex = link === next ? 0 : -1;
      next.focus();
    });
    return h("div", "chart wide", h("dt", "", outcomesWords(turns)), h("dd", "", strip));
  }
}

/** @param {Bar} bar */
function barElement({ name, used, rest, more, share }) {
  const isFull = share === 1;
  const words = h("span", "", h("b", isFull ? "bad" : "", used), rest);
  if (share === null) return h("div", "bud num", h("span", "soft", name), words);
  const fill = h("i", "");
  fill.style.width = `${Math.round(share * 100)}%`;
  const look = isFull ? "meter full" : share >= NEARLY_USED ? "meter warm" : "meter";
  const meter = h("span", { class: look, "aria-hidden": "true" }, fill);
  return h("div", "bud num", h("span", "soft", name), words, meter, ...(more ? [h("span", "quiet more", more)] : []));
}

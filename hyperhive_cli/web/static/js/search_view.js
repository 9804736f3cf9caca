/** The search of an agent's history, in place of its feed: words, filters, and the places that were found. */

import { pageOf } from "./agents.js";
import { Choices } from "./choices.js";
import { h, icon, setText } from "./dom.js";
import { TIMES, aboutOf, countWords, groupOf, groupsOf, nameOf, piecesOf, placeOf, signOf } from "./hits.js";
import { isApart, openPlace } from "./switcher.js";

/** @import { Api } from "./api.js" */
/** @import { Hit } from "./hits.js" */

const TYPING_MS = 250; // without a key, until what was typed is searched for
const PAGE_HITS = 100;

/** Return the address of a search. @param {string} agent @param {string} words @param {boolean} [isAll] of all agents */
export function searchAddress(agent, words, isAll = false) {
  return `${pageOf(agent)}?${new URLSearchParams({ search: words, ...(isAll ? { all: "1" } : {}) })}`;
}

export class SearchView {
  /** @param {HTMLElement} home the part that it covers @param {string} agent @param {Api} api @param {(hit: Hit) => void} open */
  constructor(home, agent, api, open) {
    this.home = home;
    this.agent = agent;
    this.api = api;
    this.open = open;
    /** @type {Hit[]} */
    this.hits = [];
    /** @type {Record<string, number> | null} */
    this.next = null; // what to ask with, to go on
    this.group = "";
    this.isAll = false;
    this.isFailed = false;
    this.reach = 0; // ms back in time, 0: any
    this.typing = 0;
    this.asking = new AbortController();
    this.make();
  }

  make() {
    this.field = h("input", {
      class: "grow", type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "hits", "aria-label": "Search the history",
      placeholder: "Words, deploy*, or \"a phrase\"", autocomplete: "off", spellcheck: "false",
    });
    this.count = h("span", { class: "aside num", role: "status" });
    const bar = h("div", "col", h("span", "quiet", icon("search")), this.field, this.count,
      button("up", "Previous", () => this.step(-1)), button("end", "Next", () => this.step(1)), button("x", "Close", () => this.hide()));
    this.filters = h("div", "filters");
    this.list = h("div", { class: "hits", id: "hits", role: "listbox", "aria-label": "places" });
    this.words = h("p", { class: "quiet search-words", role: "status" });
    this.further = h("button", { class: "btn small ghost", type: "button", onclick: () => this.ask(true) }, icon("end", "s"), h("span", "", "Search further back"));
    const scroller = h("div", "places", h("div", "col", this.filters, this.list, this.words, h("div", "earlier", this.further)));
    this.element = h("section", { class: "search", role: "search", "aria-label": "search" }, h("div", "search-bar", bar), scroller);
    this.element.hidden = true;
    this.home.append(this.element);
    this.choices = new Choices(this.list, this.field, (index, event) => this.pick(index, event));
    this.field.addEventListener("input", () => this.askSoon());
    this.field.addEventListener("keydown", (event) => this.choices.key(event) && this.drawCount());
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.hide();
    });
    this.draw();
  }

  /** @param {string} [words] what to search for; else what was searched for last */
  show(words) {
    for (const part of this.home.children) if (part instanceof HTMLElement && part !== this.element) part.inert = true;
    this.element.hidden = false;
    this.field.focus();
    if (words === undefined || words === this.field.value) return this.field.select();
    this.field.value = words;
    this.ask();
  }

  /** Search for what the page's address names, if it names something. @param {string} query of the address */
  start(query) {
    const asked = new URLSearchParams(query);
    this.isAll = asked.has("all");
    if (asked.has("search")) this.show(asked.get("search") ?? "");
  }

  hide() {
    this.asking.abort();
    clearTimeout(this.typing);
    this.element.hidden = true;
    for (const part of this.home.children) if (part instanceof HTMLElement) part.inert = false;
    /** @type {HTMLElement | null} */ (this.home.querySelector(".feed"))?.focus({ preventScroll: true });
  }

  askSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.ask(), TYPING_MS);
  }

  get isEmpty() {
    return !this.field.value.trim() && !this.isFailed;
  }

  /** @param {boolean} [isFurther] go on, below what was found */
  async ask(isFurther = false) {
    clearTimeout(this.typing);
    this.asking.abort();
    const { signal } = (this.asking = new AbortController());
    const query = new URLSearchParams({ q: this.field.value, limit: String(PAGE_HITS) });
    if (this.isAll) query.set("all", "1");
    if (this.isFailed) query.set("failed", "1");
    if (this.reach) query.set("since_ms", String(Date.now() - this.reach));
    for (const [name, value] of Object.entries((isFurther && this.next) || {})) query.set(name, String(value));
    setText(this.words, this.isEmpty ? "" : "Searching…");
    this.further.hidden = true;
    try {
      const { found, next } = await this.api.get(`search?${query}`, signal);
      this.take(found, isFurther, next);
    } catch (error) {
      if (signal.aborted) return;
      this.take([], isFurther, null);
      const why = error instanceof Error ? error.message : String(error);
      setText(this.words, `${why.slice(0, 1).toUpperCase()}${why.slice(1)}`);
    }
  }

  /** @param {Hit[]} found @param {boolean} isFurther @param {Record<string, number> | null} next */
  take(found, isFurther, next) {
    // The next page of several agents starts at a time, at which some were found already.
    const known = new Set(isFurther ? this.hits.map(keyOf) : []);
    this.hits = [...(isFurther ? this.hits : []), ...found.filter((hit) => !known.has(keyOf(hit)))];
    this.next = next;
    if (!isFurther) this.group = "";
    const none = next ? "Nothing found yet: the search takes long." : "Nothing found. Words match whole words; conn* any that start so.";
    setText(this.words, this.isEmpty || this.hits.length ? "" : none);
    this.draw(isFurther ? this.choices.index : 0);
  }

  get shown() {
    return this.hits.filter((hit) => !this.group || groupOf(hit) === this.group);
  }

  /** @param {number} [index] of the active place */
  draw(index = 0) {
    const now = Date.now();
    this.choices.set(this.shown.map((hit) => hitElement(hit, placeOf(hit, now, this.isAll))), index);
    this.further.hidden = this.next === null;
    this.drawFilters();
    this.drawCount();
  }

  drawCount() {
    setText(this.count, countWords(this.choices.index, this.shown.length, this.next !== null, this.isEmpty));
  }

  drawFilters() {
    const groups = groupsOf(this.hits, this.agent).map(({ key, words, count }) =>
      chip(`${words} ${count.toLocaleString("en-US")}${this.next ? "+" : ""}`, key === this.group, () => {
        this.group = key;
        this.draw();
      }),
    );
    const failed = chip("Only failures", this.isFailed, () => this.change(() => (this.isFailed = !this.isFailed)));
    const all = chip("All agents", this.isAll, () => this.change(() => (this.isAll = !this.isAll)));
    const times = h("select", { class: "chipb", "aria-label": "time" }, ...TIMES.map(([words, ms]) => new Option(words, String(ms), false, ms === this.reach)));
    times.addEventListener("change", () => this.change(() => (this.reach = Number(times.value))));
    const focused = [...this.filters.children].indexOf(/** @type {Element} */ (document.activeElement));
    this.filters.replaceChildren(...groups, h("span", "grow"), failed, all, times);
    if (focused >= 0) /** @type {HTMLElement} */ (this.filters.children[focused] ?? this.field).focus();
  }

  /** @param {() => void} work */
  change(work) {
    work();
    this.drawFilters();
    this.ask();
  }

  /** @param {1 | -1} direction */
  step(direction) {
    const { length } = this.shown;
    if (length) this.choices.activate((this.choices.index + direction + length) % length);
    this.drawCount();
  }

  /** @param {number} index @param {Event} event */
  pick(index, event) {
    this.choices.activate(index);
    this.drawCount();
    const hit = this.shown[index];
    const turn = hit.turn === null ? "" : `/turns/${hit.turn}`;
    if (hit.agent !== this.agent || isApart(event)) return openPlace(`${pageOf(hit.agent)}${turn}`, event);
    this.hide();
    this.open(hit);
  }
}

/** @param {Hit} hit */
function keyOf({ agent, seq, text }) {
  return `${agent} ${seq} ${text}`;
}

/** @param {Hit} hit @param {string} place */
function hitElement(hit, place) {
  const [tone, sign] = signOf(hit);
  const about = aboutOf(hit);
  const pieces = piecesOf(hit).map((piece, at) => (at % 2 ? h("mark", "", piece) : piece));
  const isCode = hit.part === "call" || hit.part === "output";
  return h(
    "div",
    { class: "hit", role: "option" },
    h("div", "hit-head meta", h("span", tone, icon(sign, "s"), hit.failed && h("span", "unseen", "failed")), h("b", "", nameOf(hit)), h("span", "quiet num", place)),
    isCode ? h("pre", "soft", ...pieces) : h("p", "", ...pieces),
    about && h("p", "meta quiet cut", about),
  );
}

/** @param {string} words @param {boolean} isOn @param {() => void} press */
function chip(words, isOn, press) {
  return h("button", { class: "chipb", type: "button", "aria-pressed": String(isOn), onclick: press }, words);
}

/** @param {string} sign @param {string} words @param {() => void} press */
function button(sign, words, press) {
  return h("button", { class: "btn ghost icon small", type: "button", "aria-label": words, title: words, onclick: press }, icon(sign, "s"));
}

/** One entry of the feed on the page: a turn as a section with a head that stays in sight, or what stands between turns. */

import { OUTCOME_TAGS, blockElement } from "./block_elements.js";
import { blocksOf } from "./blocks.js";
import { callElement, thoughtLine, updateCall } from "./calls.js";
import { copyText } from "./copying.js";
import { h, icon, setText } from "./dom.js";
import { FORMATS } from "./downloads.js";
import { makeDrop } from "./drop.js";
import { tryWords } from "./feed_words.js";
import { when } from "./figures.js";
import { place } from "./placing.js";

/** @import { Block, CallBlock } from "./blocks.js" */
/** @import { Entry } from "./entries.js" */
/** @import { Source } from "./feed_source.js" */

export class EntryView {
  /** @param {Entry} entry @param {Source} source */
  constructor(entry, source) {
    this.source = source;
    this.entry = entry;
    /** @type {Map<string, {element: HTMLElement, version: string}>} */
    this.shown = new Map();
    this.blocks = h("div", "blocks");
    this.head = entry.turn === null ? null : h("div", "turn-head");
    this.element = this.head ? h("section", "turn", this.head, this.blocks) : h("div", "between", this.blocks);
    if (entry.turn !== null) this.element.dataset.turn = String(entry.turn);
    this.headVersion = "";
    this.version = "";
    this.drawInner = (/** @type {HTMLElement} */ home, /** @type {CallBlock} */ block) => place(home, this.elementsOf(block.blocks, true));
  }

  /**
   * @param {Entry} entry @param {{isOver: boolean, isStopped: boolean, draft: HTMLElement | null}} now `isStopped`: it has
   *   no end, but the agent does not run; `draft`: what is being written, at its end
   */
  updateIfChanged(entry, now) {
    const { rows } = entry;
    const version = [rows.length, rows[0].key, rows.at(-1)?.key, now.isOver, now.isStopped, Boolean(now.draft)].join();
    if (version !== this.version) this.update(entry, now);
    this.version = version;
  }

  /** @param {Entry} entry @param {{isOver: boolean, isStopped: boolean, draft: HTMLElement | null}} now */
  update(entry, { isOver, isStopped, draft }) {
    this.entry = entry;
    this.used = new Set();
    const blocks = blocksOf(entry, isOver);
    const elements = this.elementsOf(blocks, false);
    place(this.blocks, draft ? [...elements, draft] : elements);
    for (const key of this.shown.keys()) if (!this.used.has(key)) this.shown.delete(key);
    this.drawHead(isOver, isStopped, blocks.at(-1));
  }

  /** The elements that a reader's place can be measured by, from top to bottom. @returns {Iterable<HTMLElement>} */
  *leaves() {
    for (const child of /** @type {Iterable<HTMLElement>} */ (this.blocks.children)) {
      if (child.classList.contains("calls")) yield* /** @type {Iterable<HTMLElement>} */ (child.children);
      else yield child;
    }
  }

  /** @param {Block[]} blocks @param {boolean} isInner within a subagent's call @returns {HTMLElement[]} */
  elementsOf(blocks, isInner) {
    return blocks.flatMap((block) => this.elementOf(block, isInner) ?? []);
  }

  /** @param {Block} block @param {boolean} isInner @param {boolean} [isInRun] in a card of calls @returns {HTMLElement | null} */
  elementOf(block, isInner, isInRun = false) {
    this.used?.add(block.key);
    const was = this.shown.get(block.key);
    let element = was?.element ?? null;
    if (block.kind === "calls") {
      element ??= h("div", "calls");
      place(element, block.calls.flatMap((call) => this.elementOf(call, isInner, true) ?? []));
    } else if (was?.version !== block.version) {
      element = this.made(block, element, isInRun);
      if (element && !isInner) element.dataset.seqs = block.seqs.filter((seq) => seq !== null).join(" ");
    } else if (block.kind === "call" && element) {
      for (const inner of block.blocks) this.use(inner);
    }
    if (element) this.shown.set(block.key, { element, version: block.version });
    return element;
  }

  /** Keep the elements within a call that has not changed. @param {Block} block */
  use(block) {
    this.used?.add(block.key);
    if (block.kind === "calls") for (const call of block.calls) this.use(call);
    if (block.kind === "call") for (const inner of block.blocks) this.use(inner);
  }

  /** @param {Block} block @param {HTMLElement | null} was @param {boolean} isInRun */
  made(block, was, isInRun) {
    if (block.kind === "call") {
      if (!was) return callElement(block, this.source, this.drawInner);
      updateCall(/** @type {HTMLDetailsElement} */ (was), block, this.source, this.drawInner);
      for (const inner of block.blocks) this.use(inner);
      return was;
    }
    if (block.kind === "thought" && isInRun) return thoughtLine(block, this.source);
    return blockElement(block, this.source);
  }

  /** @param {boolean} isOver @param {boolean} isStopped @param {Block | undefined} last */
  drawHead(isOver, isStopped, last) {
    if (!this.head) return;
    const { head, foot, turn, rows } = this.entry;
    const isRetrying = last?.kind === "retries" && last.end === "on";
    const version = [head?.key, foot?.key, isOver, isStopped, isRetrying].join();
    if (version === this.headVersion) return;
    this.headVersion = version;
    const who = head?.sender ?? `Turn ${turn}`;
    const ts = head?.ts ?? rows[0].ts;
    const now = Date.now();
    this.head.replaceChildren(
      h("span", { class: "face", "aria-hidden": "true" }, ([...who][0] ?? "?").toUpperCase()),
      h("h2", "who cut", who),
      ...(head?.message ? [h("span", "quiet num", `#${head.message}`)] : []),
      ...(head && head.attempt > 1 ? [h("span", "tag line", tryWords(head.attempt))] : []),
      h("span", "grow"),
      this.outcome(isOver, isStopped, isRetrying, last, ts),
      h("time", { class: "quiet meta", datetime: isoTime(ts), title: new Date(ts).toLocaleString("en-GB") }, when(ts, now)),
      this.menu(),
    );
  }

  /** @param {boolean} isOver @param {boolean} isStopped @param {boolean} isRetrying @param {any} last @param {number} ts */
  outcome(isOver, isStopped, isRetrying, last, ts) {
    const { foot } = this.entry;
    if (foot) {
      const [tone, name] = OUTCOME_TAGS[foot.tone] ?? OUTCOME_TAGS.bad;
      return h("span", `tag ${tone}`, icon(name, "s"), [foot.word, ...foot.remarks].join(", "));
    }
    if (isOver || isStopped) return h("span", "tag off", icon("x", "s"), isStopped ? "interrupted" : "no end known");
    const since = isRetrying ? last.first.ts : ts;
    const running = h("span", { class: `${isRetrying ? "honey" : "acc"} meta num`, "data-since": String(since) });
    running.dataset.words = isRetrying ? "retrying " : "running ";
    return running;
  }

  menu() {
    const { turn, head } = this.entry;
    if (turn === null) return null;
    const button = h("button", { class: "btn ghost icon small more-b", type: "button", "aria-label": `More about turn ${turn}`, "aria-expanded": "false" }, icon("more", "s"));
    const told = h("span", { class: "meta quiet told", role: "status" });
    const panel = h("div", { class: "drop turn-menu" });
    /** @param {string} name @param {string} words @param {() => unknown} work @param {string} done */
    const item = (name, words, work, done) =>
      h("button", { class: "cmd", type: "button", onclick: async () => {
        try {
          await work();
          setText(told, done);
          setTimeout(() => panel.matches(":popover-open") && panel.hidePopover(), 600);
        } catch (error) {
          setText(told, `Not done: ${error instanceof Error ? error.message : error}`);
        }
      } }, icon(name, "s"), h("span", "", words));
    panel.append(
      item("link", "Copy link", () => copyText(this.source.turnAddress(turn)), "Copied"),
      item("copy", "Copy as Markdown", async () => copyText(await this.source.turnMarkdown(turn)), "Copied"),
      ...FORMATS.map(([format, words]) => item("down", `Save as ${words}`, () => this.source.saveTurn(turn, format), "Saved")),
      ...(head ? [item("retry", "Send again", async () => this.source.sendAgain(await this.wholeBody()), "It is in the message field")] : []),
      told,
    );
    panel.addEventListener("beforetoggle", () => setText(told, ""));
    makeDrop(button, panel, { side: "right" });
    return h("span", "turn-more", button, panel);
  }

  async wholeBody() {
    const { head } = this.entry;
    if (!head) return "";
    return head.body.cut ? (await this.source.wholeRow(head)).body.text : head.body.text;
  }
}

/** @param {number} ms */
function isoTime(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

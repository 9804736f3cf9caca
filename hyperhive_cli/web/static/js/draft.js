/** The text that claude is writing now, at the end of the transcript, until the finished row replaces it. */

import { h } from "./dom.js";
import { Drafts } from "./drafts.js";
import { bytesWords } from "./feed_words.js";
import { markdown } from "./markdown.js";
import { clean } from "./text.js";
import { tick } from "./ticking.js";

/** @import { FeedRecord } from "./connection.js" */

const REFRESH_MS = 100; // Markdown of a growing text is parsed from its start each time
const THOUGHT_CHARS = 200; // of the line that is being thought

export class DraftView {
  constructor() {
    this.drafts = new Drafts();
    this.element = h("div", { class: "draft", "aria-hidden": "true" });
    this.element.hidden = true;
    this.isDirty = false;
    this.shownAt = 0;
    this.timer = 0;
  }

  /** @param {FeedRecord} record */
  observe(record) {
    this.drafts.observe(record);
    this.isDirty = true;
  }

  clear() {
    this.drafts = new Drafts();
    this.isDirty = true;
    this.refresh();
  }

  /** Show the newest draft; called once a frame, drawn at most every REFRESH_MS. */
  refresh() {
    if (!this.isDirty) return;
    const draft = this.drafts.newest;
    const wait = draft ? this.shownAt + REFRESH_MS - performance.now() : 0;
    if (wait > 0) {
      this.timer ||= setTimeout(() => {
        this.timer = 0;
        this.refresh();
      }, wait);
      return;
    }
    this.isDirty = false;
    this.shownAt = performance.now();
    this.element.hidden = draft === null || (!draft.text && draft.kind !== "tool_use");
    if (draft && !this.element.hidden) this.draw(draft);
  }

  /** @param {import("./drafts.js").Draft} draft */
  draw(draft) {
    if (draft.kind === "text") {
      const prose = h("div", "prose", markdown(draft.text));
      (prose.lastElementChild ?? prose).append(h("span", "caret"));
      this.element.replaceChildren(prose);
    } else if (draft.kind === "thinking") {
      const line = clean(draft.text.trimEnd().split("\n").at(-1) ?? "").slice(-THOUGHT_CHARS);
      const since = h("span", { class: "num", "data-since": String(draft.since), "data-words": "Thinking " });
      this.element.replaceChildren(h("p", "fold", h("span", "st running"), since, h("span", "cut", line)));
    } else {
      const written = draft.written ? bytesWords(draft.written) : "";
      const line = h("div", "line", h("span", "st running"), h("span", "tool", draft.name || "tool"), h("code", "in cut words", "being written"), h("span", "res", written));
      this.element.replaceChildren(h("div", "calls", h("div", "call is-live", line)));
    }
    tick(this.element);
  }
}

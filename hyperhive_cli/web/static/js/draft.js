/** The text that claude is writing now, at the end of the transcript, until the finished row replaces it. */

import { h } from "./dom.js";
import { Drafts } from "./drafts.js";
import { markdown } from "./markdown.js";
import { clean, size } from "./text.js";

/** @import { FeedRecord } from "./connection.js" */

const REFRESH_MS = 100; // Markdown of a growing text is parsed from its start each time
const THOUGHT_CHARS = 600;

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
      this.element.replaceChildren(h("div", "prose", markdown(draft.text)));
    } else if (draft.kind === "thinking") {
      const tail = draft.text.slice(-THOUGHT_CHARS);
      this.element.replaceChildren(h("div", "thought", h("span", "mark quiet", "~"), h("div", "content", clean(tail))));
    } else {
      const tool = h("b", "tool", draft.name || "tool");
      const written = h("span", "quiet", ` … ${draft.written ? size(draft.written) : ""}`);
      this.element.replaceChildren(h("div", "calling", h("span", "mark", "▸"), " ", tool, written));
    }
  }
}

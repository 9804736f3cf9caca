/** The blocks that claude is writing at this moment, as the deltas of partial messages tell it. Pure. */

import { mapping, oneLine, string, textOf } from "./text.js";

const KEPT_CHARS = 32 * 1024;
const MOST_DRAFTS = 32;

/** Delta → the type of the block that it belongs to, and the key of its text. */
const DELTAS = new Map(
  Object.entries({
    text_delta: ["text", "text"],
    thinking_delta: ["thinking", "thinking"],
    input_json_delta: ["tool_use", "partial_json"],
  }),
);

/**
 * @typedef {{kind: string, name: string, text: string, written: number}} Draft the newest `text`, and its length so far
 */

/** The unfinished blocks of the main thread and of each subagent; the one that grew last is shown. */
export class Drafts {
  constructor() {
    /** @type {Map<string, Draft>} */
    this.open = new Map();
  }

  /**
   * Take in an event: a delta grows a draft, a finished line or the end of the turn ends it.
   * @param {Record<string, any>} event
   */
  observe(event) {
    const parent = string(event.parent_tool_use_id);
    if (event.kind === "turn_end" || event.kind === "turn_start") this.open.clear();
    if (event.kind !== "stream") return;
    if (event.type === "stream_event") this.grow(parent, mapping(event.event));
    else if (event.type === "assistant") this.open.delete(parent);
    else if (event.type === "result") this.open.clear();
  }

  /** @param {string} parent @param {Record<string, any>} event */
  grow(parent, event) {
    const block = mapping(event.content_block);
    const delta = mapping(event.delta);
    if (event.type === "content_block_start") {
      this.begin(parent, { kind: string(block.type), name: oneLine(textOf(block.name), 60), text: "", written: 0 });
    } else if (event.type === "content_block_delta") {
      const [kind, key] = DELTAS.get(string(delta.type)) ?? [];
      if (!kind) return;
      // Whoever comes in the middle of a block sees its deltas only.
      const draft = this.open.get(parent) ?? { kind, name: "", text: "", written: 0 };
      draft.text = (draft.text + string(delta[key])).slice(-KEPT_CHARS);
      draft.written += string(delta[key]).length;
      this.begin(parent, draft);
    } else if (event.type === "message_stop") {
      this.open.delete(parent);
    }
  }

  /** @param {string} parent @param {Draft} draft */
  begin(parent, draft) {
    this.open.delete(parent);
    if (this.open.size >= MOST_DRAFTS) this.open.clear();
    this.open.set(parent, draft);
  }

  /** The draft that grew last, null when nothing is being written. */
  get newest() {
    return [...this.open.values()].at(-1) ?? null;
  }
}

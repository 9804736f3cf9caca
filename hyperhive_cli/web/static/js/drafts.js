/** The blocks that claude is writing now, put together from the deltas of partial messages. Pure. */

import { mapping, oneLine, string, textOf } from "./text.js";

/** @import { FeedRecord } from "./connection.js" */

const KEPT_CHARS = 32 * 1024;
const MAX_DRAFTS = 32;

/** Delta → the type of its block, and the key of its text. */
const DELTAS = new Map([
  ["text_delta", ["text", "text"]],
  ["thinking_delta", ["thinking", "thinking"]],
  ["input_json_delta", ["tool_use", "partial_json"]],
]);

/**
 * @typedef {{kind: string, name: string, text: string, written: number, since: number}} Draft the newest `text`, and its
 *   whole length so far; `since`: Unix ms
 */

/** The unfinished blocks of the main thread and of each subagent. */
export class Drafts {
  constructor() {
    /** @type {Map<string, Draft>} */
    this.open = new Map();
  }

  /** A delta extends a draft; the finished line or the end of the turn removes it. @param {FeedRecord} record */
  observe(record) {
    const parent = string(record.parent_tool_use_id);
    if (record.kind === "turn_end" || record.kind === "turn_start") this.open.clear();
    if (record.kind !== "stream") return;
    if (record.type === "stream_event") this.extend(parent, mapping(record.event), record.ts);
    else if (record.type === "assistant") this.open.delete(parent);
    else if (record.type === "result") this.open.clear();
  }

  /** @param {string} parent @param {Record<string, any>} event @param {number} ts Unix ms */
  extend(parent, event, ts) {
    const block = mapping(event.content_block);
    const delta = mapping(event.delta);
    if (event.type === "content_block_start") {
      this.set(parent, { kind: string(block.type), name: oneLine(textOf(block.name), 60), text: "", written: 0, since: ts });
    } else if (event.type === "content_block_delta") {
      const [kind, key] = DELTAS.get(string(delta.type)) ?? [];
      if (!kind) return;
      // A page that was opened in the middle of a block gets its later deltas only.
      const draft = this.open.get(parent) ?? { kind, name: "", text: "", written: 0, since: ts };
      draft.text = (draft.text + string(delta[key])).slice(-KEPT_CHARS);
      draft.written += string(delta[key]).length;
      this.set(parent, draft);
    } else if (event.type === "message_stop") {
      this.open.delete(parent);
    }
  }

  /** @param {string} parent @param {Draft} draft */
  set(parent, draft) {
    this.open.delete(parent);
    if (this.open.size >= MAX_DRAFTS) this.open.clear();
    this.open.set(parent, draft);
  }

  /** The draft that was extended last, null if nothing is being written. */
  get newest() {
    return [...this.open.values()].at(-1) ?? null;
  }
}

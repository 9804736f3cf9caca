/** What the transcript remembers while a turn runs, so that lines which belong together stand together. */

// A turn of an honest agent has some hundred calls; the bound only keeps an endless one from growing us.
const MOST_REMEMBERED = 20_000;

export class Memory {
  constructor() {
    this.cwd = "";
    this.init = "";
    /** @type {Record<string, any> | null} */
    this.usage = null;
    /** @type {Map<string, {name: string, subject: string}>} */
    this.calls = new Map();
    /** @type {Set<string>} */
    this.shown = new Set();
    /** @type {Map<string, string>} */
    this.denied = new Map();
    this.lastParent = "";
    this.status = "online"; // as it was shown last
  }

  /** Forget what belonged to the turn before. */
  beginTurn() {
    this.usage = null;
    this.lastParent = "";
    for (const store of [this.calls, this.shown, this.denied]) store.clear();
  }

  /** @param {string} id @param {string} name @param {string} subject */
  noteCall(id, name, subject) {
    if (this.calls.size >= MOST_REMEMBERED) this.calls.clear();
    this.calls.set(id, { name, subject });
  }

  /** Remember a text that is about to be shown; tells whether it is new in this turn. @param {string} text */
  noteText(text) {
    const key = text.trim();
    if (!key || this.shown.has(key)) return false;
    if (this.shown.size >= MOST_REMEMBERED) this.shown.clear();
    this.shown.add(key);
    return true;
  }
}

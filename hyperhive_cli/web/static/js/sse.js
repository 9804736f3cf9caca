/** A parser of server-sent events, fed piece by piece. Pure. */

/** @typedef {{event: string, data: string}} Frame */

/** Cuts text into frames, wherever the pieces end. Comments are dropped; an unfinished frame waits for more. */
export class FrameReader {
  constructor() {
    /** @type {(string | undefined)[]} */
    this.open = []; // the pieces of the unfinished line, joined when it ends
    this.reset();
  }

  reset() {
    /** @type {string[]} */
    this.data = [];
    /** @type {string} */
    this.event = "message";
  }

  /** Add a piece and return the frames that it completes. @param {string} piece @returns {Frame[]} */
  push(piece) {
    this.open.push(piece);
    if (!piece.includes("\n")) return [];
    const lines = this.open.join("").split("\n");
    this.open = [lines.pop()];
    /** @type {Frame[]} */
    const frames = [];
    for (const line of lines) this.take(line.endsWith("\r") ? line.slice(0, -1) : line, frames);
    return frames;
  }

  /** @param {string} line @param {Frame[]} frames */
  take(line, frames) {
    if (line === "") {
      if (this.data.length) frames.push({ event: this.event, data: this.data.join("\n") });
      this.reset();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /u, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.event = value;
  }
}

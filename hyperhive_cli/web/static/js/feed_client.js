/** Carries out the effects of the connection's state machine: requests, the stream, the wait before the next attempt. */

import { RequestError } from "./api.js";
import { PAGE_EVENTS, initialConnection, isOver, step } from "./connection.js";
import { FrameReader } from "./sse.js";

/** @import { Api } from "./api.js" */
/** @import { Connection, Effect, FeedRecord, Input, Snapshot } from "./connection.js" */

const SILENCE_LIMIT_MS = 40_000; // the server sends a heartbeat every 15 s

/**
 * @typedef {object} FeedListener
 * @property {(records: FeedRecord[]) => void} show show records; they come in order, each once
 * @property {(missing: number) => void} showGap so many events are gone for good
 * @property {() => void} clear everything shown is void
 * @property {(snapshot: Snapshot) => void} setState the agent's state
 * @property {(connection: Connection) => void} setConnection the connection has changed
 */

/** Reads one agent's feed, history and then live, as long as the page is open. */
export class FeedClient {
  /** @param {Api} api @param {FeedListener} listener */
  constructor(api, listener) {
    this.api = api;
    this.listener = listener;
    this.connection = initialConnection();
    this.abort = new AbortController();
    this.timer = 0;
  }

  start() {
    this.handle({ type: "start" });
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /** End the wait: the operator wants it, or the network is back. */
  retryNow() {
    if (this.connection.phase !== "reconnecting" && !isOver(this.connection)) return;
    clearTimeout(this.timer);
    this.handle({ type: "retry" });
  }

  /** @param {Input} input */
  handle(input) {
    const [connection, effects] = step(this.connection, input);
    const hasChanged = connection.phase !== this.connection.phase || connection.attempt !== this.connection.attempt;
    this.connection = connection;
    for (const effect of effects) this.carryOut(effect);
    if (hasChanged) this.listener.setConnection(connection);
  }

  /** @param {Effect} effect */
  carryOut(effect) {
    switch (effect.do) {
      case "ask_state":
        return this.ask("state", (snapshot) => ({ type: "state", snapshot }));
      case "ask_page":
        return this.ask(`events?view=rows&${position(effect)}&limit=${PAGE_EVENTS}`, (found) => ({
          type: "page",
          records: found.events,
          reset: found.reset,
        }));
      case "open":
        return this.read(position(effect));
      case "close":
        clearTimeout(this.timer);
        this.abort.abort();
        this.abort = new AbortController();
        break;
      case "retry_in":
        this.timer = setTimeout(() => this.handle({ type: "retry" }), effect.seconds * 1000);
        break;
      case "set_state":
        return this.listener.setState(effect.snapshot);
      case "clear":
        return this.listener.clear();
      case "show":
        return this.listener.show(effect.records);
      case "gap":
        return this.listener.showGap(effect.missing);
    }
  }

  /** @param {string} path @param {(answer: any) => Input} toInput */
  async ask(path, toInput) {
    const { signal } = this.abort;
    try {
      const answer = await this.api.get(path, signal);
      if (!signal.aborted) this.handle(toInput(answer));
    } catch (error) {
      this.fail(error, signal);
    }
  }

  /** @param {string} query */
  async read(query) {
    const { signal } = this.abort;
    try {
      const stream = await notSilent(this.api.stream(`stream?view=rows&${query}&partial=1`, signal));
      const text = stream.pipeThrough(/** @type {any} */ (new TextDecoderStream()));
      await this.readFrames(text.getReader(), signal);
      throw new RequestError(0, "the server ended the stream");
    } catch (error) {
      this.fail(error, signal);
    }
  }

  /** @param {ReadableStreamDefaultReader<string>} reader @param {AbortSignal} signal */
  async readFrames(reader, signal) {
    const frames = new FrameReader();
    while (!signal.aborted) {
      const { value, done } = await notSilent(reader.read());
      if (done) return;
      if (!signal.aborted) this.takeFrames(frames.push(value), signal);
    }
  }

  /** @param {import("./sse.js").Frame[]} frames @param {AbortSignal} signal */
  takeFrames(frames, signal) {
    /** @type {FeedRecord[]} */
    let records = [];
    const flush = () => {
      if (records.length) this.handle({ type: "records", records });
      records = [];
    };
    for (const frame of frames) {
      if (frame.event === "message") {
        records.push(JSON.parse(frame.data));
        continue;
      }
      flush();
      const found = JSON.parse(frame.data);
      if (frame.event === "snapshot") this.handle({ type: "snapshot", snapshot: found, now: Date.now() });
      else if (frame.event === "state") this.handle({ type: "changed", snapshot: found });
      else if (frame.event === "reset") this.handle({ type: "reset", since: found.since });
      if (signal.aborted) return; // this stream has been closed: ignore the rest of it
    }
    flush();
  }

  /** @param {unknown} error @param {AbortSignal} signal */
  fail(error, signal) {
    if (signal.aborted) return;
    const status = error instanceof RequestError ? error.status : 0;
    const reason = error instanceof Error ? error.message : String(error);
    if (status === 401 || status === 403) this.handle({ type: "refused", reason });
    else if (status === 404) this.handle({ type: "gone", reason });
    else {
      const words = error instanceof RequestError ? reason : "the connection was lost";
      this.handle({ type: "lost", reason: words, now: Date.now() });
    }
  }
}

/** Return the query that names the newest record shown. @param {{since: number, ts: number | null}} effect @returns {string} */
function position({ since, ts }) {
  return ts === null ? `since=${since}` : `since=${since}&ts=${ts}`;
}

/**
 * Wait for the stream, or a part of it; rejects if it stays silent for longer than its heartbeat allows.
 * @template T
 * @param {Promise<T>} reading
 */
async function notSilent(reading) {
  let timer = 0;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new RequestError(0, "the server fell silent")), SILENCE_LIMIT_MS);
  });
  try {
    return /** @type {T} */ (await Promise.race([reading, silence]));
  } finally {
    clearTimeout(timer);
  }
}

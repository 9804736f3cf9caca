/** Carries out what the state machine of the connection decides: requests, the stream, the wait for the next try. */

import { RequestError } from "./access.js";
import { PAGE_ROWS, isOver, step, unconnected } from "./connection.js";
import { FrameReader } from "./sse.js";

/** @import { Api } from "./access.js" */
/** @import { Connection, Effect, Input, LiveEvent, Snapshot } from "./connection.js" */

const SILENCE_LIMIT_MS = 40_000; // the server's heartbeat comes every 15 s

/**
 * What the page does with what comes in.
 * @typedef {object} Sink
 * @property {(events: LiveEvent[]) => void} show in order, each once
 * @property {(missing: number) => void} gap so many events are gone for good
 * @property {() => void} beginAfresh forget all that was shown
 * @property {(snapshot: Snapshot) => void} know the agent's state
 * @property {(connection: Connection) => void} connected how the connection stands
 */

/** One agent's feed: history, then live, for as long as the page is open. */
export class Link {
  /** @param {Api} api @param {Sink} sink */
  constructor(api, sink) {
    this.api = api;
    this.sink = sink;
    this.connection = unconnected();
    this.abort = new AbortController();
    this.timer = 0;
  }

  start() {
    this.feed({ type: "start" });
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /** Do not wait any longer: the operator asks, or the network is back. */
  retryNow() {
    if (this.connection.phase !== "reconnecting" && !isOver(this.connection)) return;
    clearTimeout(this.timer);
    this.feed({ type: "retry" });
  }

  /** @param {Input} input */
  feed(input) {
    const [connection, effects] = step(this.connection, input);
    const isNews = connection.phase !== this.connection.phase || connection.attempt !== this.connection.attempt;
    this.connection = connection;
    for (const effect of effects) this.carryOut(effect);
    if (isNews) this.sink.connected(connection);
  }

  /** @param {Effect} effect */
  carryOut(effect) {
    switch (effect.do) {
      case "ask_state":
        this.ask("state", (snapshot) => ({ type: "state", snapshot }));
        break;
      case "ask_page":
        this.ask(`events?${place(effect)}&limit=${PAGE_ROWS}`, (found) => ({
          type: "page",
          events: found.events,
          reset: found.reset,
        }));
        break;
      case "open":
        this.read(place(effect));
        break;
      case "close":
        clearTimeout(this.timer);
        this.abort.abort();
        this.abort = new AbortController();
        break;
      case "retry_in":
        this.timer = setTimeout(() => this.feed({ type: "retry" }), effect.seconds * 1000);
        break;
      case "know":
        this.sink.know(effect.snapshot);
        break;
      case "begin_afresh":
        this.sink.beginAfresh();
        break;
      case "show":
        this.sink.show(effect.events);
        break;
      case "gap":
        this.sink.gap(effect.missing);
        break;
    }
  }

  /** @param {string} path @param {(answer: any) => Input} toInput */
  async ask(path, toInput) {
    const { signal } = this.abort;
    try {
      const answer = await this.api.get(path, signal);
      if (!signal.aborted) this.feed(toInput(answer));
    } catch (error) {
      this.fail(error, signal);
    }
  }

  /** @param {string} place */
  async read(place) {
    const { signal } = this.abort;
    try {
      const stream = await inTime(this.api.stream(`stream?${place}&partial=1`, signal));
      await this.readFrames(readerOf(stream), signal);
      throw new RequestError(0, "the server ended the stream");
    } catch (error) {
      this.fail(error, signal);
    }
  }

  /** @param {ReadableStreamDefaultReader<string>} reader @param {AbortSignal} signal */
  async readFrames(reader, signal) {
    const frames = new FrameReader();
    while (!signal.aborted) {
      const { value, done } = await inTime(reader.read());
      if (done) return;
      if (!signal.aborted) this.takeFrames(frames.push(value), signal);
    }
  }

  /** @param {import("./sse.js").Frame[]} frames @param {AbortSignal} signal */
  takeFrames(frames, signal) {
    /** @type {LiveEvent[]} */
    let events = [];
    const handOver = () => {
      if (events.length) this.feed({ type: "events", events });
      events = [];
    };
    for (const frame of frames) {
      if (frame.event === "message") {
        events.push(JSON.parse(frame.data));
        continue;
      }
      handOver();
      const found = JSON.parse(frame.data);
      if (frame.event === "snapshot") this.feed({ type: "snapshot", snapshot: found, now: Date.now() });
      else if (frame.event === "state") this.feed({ type: "changed", snapshot: found });
      else if (frame.event === "reset") this.feed({ type: "reset", since: found.since });
      if (signal.aborted) return; // this stream was given up: what it still says is of no use
    }
    handOver();
  }

  /** @param {unknown} error @param {AbortSignal} signal */
  fail(error, signal) {
    if (signal.aborted) return;
    const status = error instanceof RequestError ? error.status : 0;
    const reason = error instanceof Error ? error.message : String(error);
    if (status === 401 || status === 403) this.feed({ type: "refused", reason });
    else if (status === 404) this.feed({ type: "gone", reason });
    else
      this.feed({
        type: "lost",
        reason: status || error instanceof RequestError ? reason : "the connection broke off",
        now: Date.now(),
      });
  }
}

/** Name the newest event that is shown. @param {{since: number, ts: number | null}} effect @returns {string} */
function place({ since, ts }) {
  return ts === null ? `since=${since}` : `since=${since}&ts=${ts}`;
}

/** @param {ReadableStream<Uint8Array>} stream @returns {ReadableStreamDefaultReader<string>} */
function readerOf(stream) {
  return stream.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
}

/**
 * Wait for the stream, or what is read of it: one that is silent for longer than its heartbeat allows is dead.
 * @template T
 * @param {Promise<T>} reading
 */
async function inTime(reading) {
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

/** One agent's link to the server: carries out the effects of the connection's state machine. */

import { RequestError } from "./api.js";
import { OPEN_EVENTS, initialConnection, isOver, step } from "./connection.js";
import { sharedHub } from "./shared_hub.js";

/** @import { Api } from "./api.js" */
/** @import { Connection, Effect, FeedRecord, Input, Snapshot } from "./connection.js" */

export const OPENING = `open?view=rows&limit=${OPEN_EVENTS}`;

/**
 * @typedef {object} FeedListener
 * @property {(records: FeedRecord[]) => void} show show records; they come in order, each once
 * @property {(head: FeedRecord) => void} setHead the first record will be within a turn, which this one started
 * @property {(records: FeedRecord[], about: {isStart: boolean, head: FeedRecord | null}) => void} showOlder show records
 *   before the first one, and the record that started the turn within which they begin
 * @property {(missing: number) => void} showGap so many events are gone for good
 * @property {() => void} clear everything shown is void
 * @property {(snapshot: Snapshot) => void} setState the agent's state
 * @property {(inbox: any) => void} setInbox the agent's inbox: `messages`, and whether there are `more`
 * @property {(connection: Connection) => void} setConnection the connection has changed
 * @property {(isSlow: boolean) => void} setSlow whether an answer is awaited for longer than usual
 */

/** Reads one agent's feed, newest events first and then live, as long as the page is open. */
export class FeedClient {
  /** @param {string} agent @param {Api} api @param {FeedListener} listener @param {import("./shared_hub.js").SharedHub} hub */
  constructor(agent, api, listener, hub = sharedHub()) {
    this.agent = agent;
    this.api = api;
    this.listener = listener;
    this.hub = hub;
    this.connection = initialConnection();
    this.abort = new AbortController();
    this.timer = 0;
    api.onSlow = (isSlow) => listener.setSlow(isSlow);
  }

  start() {
    this.handle({ type: "start" });
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /** End the wait: the operator wants it, or the network is back. */
  retryNow() {
    if (this.connection.phase !== "reconnecting" && !isOver(this.connection)) return;
    clearTimeout(this.timer);
    this.handle({ type: "retry" });
  }

  /** Read the page before a record, or the oldest one; nothing if a page is being read. @param {number} [before] */
  older(before) {
    this.handle({ type: "older", before });
  }

  /** Return one event's record with nothing cut. @param {number} seq @returns {Promise<FeedRecord>} */
  event(seq) {
    return this.api.get(`events/${seq}?view=rows`);
  }

  /** @param {Input} input */
  handle(input) {
    const [connection, effects] = step(this.connection, input);
    const was = this.connection;
    this.connection = connection;
    for (const effect of effects) this.carryOut(effect);
    if (connection.phase !== was.phase || connection.retryAt !== was.retryAt) this.listener.setConnection(connection);
  }

  /** @param {Effect} effect */
  carryOut(effect) {
    switch (effect.do) {
      case "ask_open":
        return this.ask(OPENING, (answer) => {
          this.handle({ type: "opened", answer });
          if (answer.inbox) this.listener.setInbox(answer.inbox);
        });
      case "ask_older":
        return this.askOlder(effect.before);
      case "join":
        return this.hub.join(this.agent, { since: effect.since, ts: effect.ts }, (message) => this.take(message));
      case "leave":
        clearTimeout(this.timer);
        this.abort.abort();
        this.abort = new AbortController();
        return this.hub.leave(this.agent);
      case "retry_stream":
        return this.hub.retry();
      case "retry_in":
        this.timer = setTimeout(() => this.handle({ type: "retry" }), effect.seconds * 1000);
        return;
      case "set_state":
        return this.listener.setState(effect.snapshot);
      case "clear":
        return this.listener.clear();
      case "show":
        return this.listener.show(effect.records);
      case "show_older":
        return this.listener.showOlder(effect.records, { isStart: effect.isStart, head: effect.head });
      case "set_head":
        return this.listener.setHead(effect.head);
      case "gap":
        return this.listener.showGap(effect.missing);
    }
  }

  /** @param {any} message of the hub */
  take(message) {
    if (message.type === "inbox") this.listener.setInbox(message.data);
    else this.handle(message);
  }

  /** @param {string} path @param {(answer: any) => void} then */
  async ask(path, then) {
    const { signal } = this.abort;
    let answer;
    try {
      answer = await this.api.get(path, signal);
    } catch (error) {
      if (!signal.aborted) this.fail(error);
      return;
    }
    if (!signal.aborted) then(answer);
  }

  /** @param {number} before */
  async askOlder(before) {
    const { signal } = this.abort;
    let found = null;
    try {
      found = await this.api.get(`events?view=rows&before=${before}&limit=${OPEN_EVENTS}`, signal);
    } catch {
      // The stream says what is wrong; scrolling asks again.
    }
    if (signal.aborted) return;
    if (found) this.handle({ type: "older_page", before, records: found.events, oldest: found.oldest, head: found.head });
    else this.handle({ type: "older_failed", before });
  }

  /** @param {unknown} error */
  fail(error) {
    const status = error instanceof RequestError ? error.status : 0;
    const reason = error instanceof Error ? error.message : String(error);
    if (status === 401 || status === 403) this.handle({ type: "refused", reason });
    else if (status === 404) this.handle({ type: "gone", reason });
    else this.handle({ type: "lost", reason, now: Date.now() });
  }
}

/**
 * Texts on their way into an inbox. They are kept in the browser's storage until the server has acknowledged them, so
 * that none is lost by a reload, a crash or a restart of the browser.
 *
 * A text gets its key here. The server runs a key once, however often it comes: so a text is sent again until an answer
 * arrives, by whichever tab is open. What the server refuses goes back into the agent's draft, with the reason.
 */

import { Api, RequestError, prefix } from "./api.js";
import { retryAfter } from "./connection.js";
import { draftOf, keepDraft, keepSent, textPlace } from "./typed.js";

const OUTBOX = "outbox";
/** The server forgets a key a week after its message has ended: an older text may have run already. */
const TOO_OLD_MS = 6 * 24 * 3600 * 1000;
const ANSWER_LIMIT_MS = 30_000; // then the same text is sent again
const MAYBE_LATER = new Set([0, 401, 403, 408, 429]); // and 5xx: nothing is wrong with the text itself

/**
 * @typedef {{key: string, agent: string, text: string, at: string | null, made: number}} Entry `made`: Unix ms
 * @typedef {Entry & {reason: string, retryAt: number}} Pending `reason`: why the last try failed, "" if none has;
 *   `retryAt`: of the next one, Unix ms, 0: it is being sent
 * @typedef {{agent: string, sent?: Record<string, any> & {key: string}, refused?: {text: string, reason: string}}} Change
 *   what has changed for an agent: the server's answer to a text, or a text that went back into the draft
 * @typedef {(name: string, work: () => Promise<boolean>) => Promise<boolean>} Alone
 */

export class Outbox {
  /** @param {(agent: string) => Pick<Api, "post">} [apiOf] @param {Alone} [alone] */
  constructor(apiOf = apiOfAgent, alone = underLock) {
    this.apiOf = apiOf;
    this.alone = alone;
    /** @type {Set<(change: Change) => void>} */
    this.listeners = new Set();
    /** @type {Map<string, {reason: string, retryAt: number, losses: number, timer: any}>} */
    this.failed = new Map(); // the agents whose oldest text could not be sent, since the last success
    /** @type {Set<string>} */
    this.sending = new Set(); // the agents whose texts this tab is sending
    this.newest = 0;
  }

  /** Continue with what an earlier page has left, and take part in what other tabs send. */
  start() {
    addEventListener("online", () => this.retryNow());
    addEventListener("storage", ({ key, oldValue, newValue }) => {
      const entry = key?.startsWith(textPlace(OUTBOX, "")) ? toEntry(newValue ?? oldValue) : null;
      if (!entry) return;
      this.tell({ agent: entry.agent });
      if (newValue) this.pump(entry.agent); // the other tab may be closed before it has an answer
    });
    this.retryNow();
  }

  /**
   * Accept a text for an agent's inbox: it is sent, whatever happens to this page. Throws if the storage is full.
   * @param {string} agent @param {string} text @param {{at?: string | null}} [when] `at`: start it no earlier
   */
  send(agent, text, { at = null } = {}) {
    this.newest = Math.max(Date.now(), this.newest + 1);
    const entry = { key: crypto.randomUUID(), agent, text, at, made: this.newest };
    localStorage.setItem(entryPlace(entry), JSON.stringify(entry));
    keepSent(agent, text);
    this.tell({ agent });
    this.pump(agent, true);
  }

  /** Return the texts that the server has not acknowledged, oldest first. @param {string} agent @returns {Pending[]} */
  pending(agent) {
    const { reason = "", retryAt = 0 } = this.failed.get(agent) ?? {};
    return outboxEntries(agent).map((entry) => ({ ...entry, reason, retryAt }));
  }

  /** Call back when something has changed. @param {(change: Change) => void} listener */
  onChange(listener) {
    this.listeners.add(listener);
  }

  /** Try everything again immediately: the operator wants it, or the server is back. */
  retryNow() {
    for (const { agent } of outboxEntries("")) this.pump(agent, true);
  }

  /** Send an agent's texts, one after the other. @param {string} agent @param {boolean} [isNow] end a wait */
  async pump(agent, isNow = false) {
    const failed = this.failed.get(agent);
    if (this.sending.has(agent) || (failed?.retryAt && !isNow)) return;
    if (failed) {
      clearTimeout(failed.timer);
      failed.retryAt = 0;
    }
    this.sending.add(agent);
    let isLeft = true;
    while (isLeft) isLeft = await this.alone(textPlace(OUTBOX, agent), () => this.sendOldest(agent));
    this.sending.delete(agent);
    if (outboxEntries(agent).length && !this.failed.get(agent)?.retryAt) this.pump(agent); // it came at the last moment
  }

  /** Send the oldest text; returns true if the next one can follow. @param {string} agent */
  async sendOldest(agent) {
    const [entry] = outboxEntries(agent); // read only now: another tab may have sent it meanwhile
    if (!entry) return false;
    const { key, text, at, made } = entry;
    if (Date.now() - made > TOO_OLD_MS) return this.giveBack(entry, "not confirmed for days, it may have run already");
    try {
      const body = { body: text, key, ...(at === null ? {} : { at }) };
      const answer = await this.apiOf(agent).post("messages", body, AbortSignal.timeout(ANSWER_LIMIT_MS));
      localStorage.removeItem(entryPlace(entry));
      this.failed.delete(agent);
      this.tell({ agent, sent: { ...answer, key } });
      return true;
    } catch (error) {
      const { status, message, hint } = error instanceof RequestError ? error : new RequestError(0, String(error));
      const reason = hint ? `${message} (${hint})` : message;
      if (status < 500 && !MAYBE_LATER.has(status)) return this.giveBack(entry, reason);
      this.waitAfter(agent, reason);
      return false;
    }
  }

  /** @param {string} agent @param {string} reason */
  waitAfter(agent, reason) {
    const losses = this.failed.get(agent)?.losses ?? 0;
    const ms = retryAfter(losses) * 1000;
    const timer = setTimeout(() => this.pump(agent, true), ms);
    this.failed.set(agent, { reason, retryAt: Date.now() + ms, losses: losses + 1, timer });
    this.tell({ agent });
  }

  /** Put a text that cannot be sent before what is typed. @param {Entry} entry @param {string} reason */
  giveBack(entry, reason) {
    const { agent, text } = entry;
    const typed = draftOf(agent);
    keepDraft(agent, typed ? `${text}\n\n${typed}` : text);
    localStorage.removeItem(entryPlace(entry));
    this.tell({ agent, refused: { text, reason } });
    return true;
  }

  /** @param {Change} change */
  tell(change) {
    for (const listener of this.listeners) listener(change);
  }
}

/** The outbox of this tab; all tabs of a server share its texts. */
export const outbox = new Outbox();

/** @param {string} agent */
function apiOfAgent(agent) {
  return new Api(`${prefix()}/agents/${encodeURIComponent(agent)}/api`);
}

/** Work while no other tab does work of this name. @type {Alone} */
function underLock(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}

/** @param {Entry} entry */
function entryPlace({ agent, key }) {
  return textPlace(OUTBOX, `${agent}/${key}`);
}

/** Return an agent's texts, or those of all agents, oldest first. @param {string} agent "": of all @returns {Entry[]} */
function outboxEntries(agent) {
  const start = agent ? textPlace(OUTBOX, `${agent}/`) : textPlace(OUTBOX, "");
  /** @type {Entry[]} */
  const found = [];
  for (let index = 0; index < localStorage.length; index += 1) {
    const place = localStorage.key(index) ?? "";
    const entry = place.startsWith(start) ? toEntry(localStorage.getItem(place)) : null;
    if (entry) found.push(entry);
  }
  return found.sort((one, other) => one.made - other.made);
}

/** @param {string | null} text @returns {Entry | null} */
function toEntry(text) {
  try {
    const entry = JSON.parse(text ?? "");
    return typeof entry?.key === "string" && typeof entry.text === "string" ? entry : null;
  } catch {
    return null;
  }
}

/** Requests to the server, which carry the token. */

import { token } from "./token.js";

/** The prefix of a proxy's addresses of this page, or "". */
export const prefix = () => document.documentElement.dataset.prefix ?? "";
const SILENCE_MS = 30_000; // an answer may take long to arrive, but not without a byte for so long
const SLOW_MS = 3000;
const IN_MEMORY_BYTES = 4 * 1024 * 1024;
const LONG_CHANGES = new Set(["compact"]); // it answers once it has finished

/** A request was refused, or did not reach the server (`status` 0). `hint` says what to do, or is "". */
export class RequestError extends Error {
  /** @param {number} status @param {string} message @param {string} hint */
  constructor(status, message, hint = "") {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** The operations below one address, such as `/agents/bee/api`. */
export class Api {
  /** @param {string} base */
  constructor(base) {
    this.base = base;
    /** @type {Map<string, Promise<any>>} */
    this.ahead = new Map(); // what was asked for before it is wanted
    this.late = 0; // the requests that have had no answer for SLOW_MS
  }

  /** Called when the server has not answered for SLOW_MS, and when it does. @param {boolean} _isSlow */
  onSlow(_isSlow) {}

  /** Return a value. @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
  async get(path, signal) {
    const ahead = this.ahead.get(path);
    if (ahead && this.ahead.delete(path)) return ahead;
    const [status, body] = await this.read(path, signal);
    return valueOf(status, await body.text());
  }

  /** Ask for a value that will be wanted soon, while others are on their way. @param {string} path */
  prefetch(path) {
    const asked = this.get(path);
    asked.catch(() => {}); // said to the one who wants it
    this.ahead.set(path, asked);
  }

  /** Return a file with its media type. @param {string} path @param {AbortSignal} [signal] @returns {Promise<Blob>} */
  async blob(path, signal) {
    return (await this.read(path, signal))[1];
  }

  /**
   * Change something. Without a time limit: an operation such as `compact` may take long.
   * @param {string} path @param {Record<string, unknown>} [body] @param {AbortSignal} [signal] @returns {Promise<any>}
   */
  async post(path, body = {}, signal) {
    const headers = { "Content-Type": "application/json" };
    const asked = this.request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
    const response = await (LONG_CHANGES.has(path) ? asked : this.watched(asked));
    return valueOf(response.status, await response.text());
  }

  /**
   * Read an answer; rejects once no byte has come for SILENCE_MS.
   * @param {string} path @param {AbortSignal | undefined} signal @returns {Promise<[number, Blob]>}
   */
  async read(path, signal) {
    const silence = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new DOMException("", "TimeoutError")), SILENCE_MS);
    };
    heard();
    try {
      const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
      const response = await this.watched(this.request(path, { signal: either }));
      /** @type {BlobPart[]} */
      let pieces = [];
      const reader = response.body?.getReader();
      let size = 0; // of the pieces that are not in a Blob, which the browser may keep on the disk
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        pieces.push(piece.value);
        size += piece.value.length;
        if (size > IN_MEMORY_BYTES) [pieces, size] = [[new Blob(pieces)], 0];
        heard();
      }
      return [response.status, new Blob(pieces, { type: response.headers.get("Content-Type") ?? "" })];
    } catch (error) {
      throw toRequestError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Report a request that is not answered in time. @param {Promise<Response>} asked */
  async watched(asked) {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.late += 1;
      if (this.late === 1) this.onSlow(true);
    }, SLOW_MS);
    try {
      return await asked;
    } finally {
      clearTimeout(timer);
      this.late -= Number(isLate);
      if (isLate && !this.late) this.onSlow(false);
    }
  }

  /** @param {string} path @param {RequestInit} init */
  async request(path, init) {
    const headers = { ...init.headers, Authorization: `Bearer ${token()}` };
    let response;
    try {
      response = await fetch(`${this.base}/${path}`, { ...init, headers, credentials: "same-origin", cache: "no-store" });
    } catch (error) {
      throw toRequestError(error);
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** Say why a request or its answer failed; who gave it up gets its own error back. @param {unknown} error */
function toRequestError(error) {
  if (error instanceof RequestError) return error;
  const name = error instanceof DOMException ? error.name : "";
  if (name === "AbortError") return error;
  return new RequestError(0, name === "TimeoutError" ? "the server does not answer" : "the server cannot be reached");
}

/** @param {number} status @param {string} text */
function valueOf(status, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new RequestError(status, "the server's answer is incomplete");
  }
}

/** @param {Response} response */
async function errorOf(response) {
  const found = await response.json().catch(() => ({}));
  return new RequestError(response.status, found.error ?? `the server answered ${response.status}`, found.hint ?? "");
}

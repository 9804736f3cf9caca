/** Requests to the server, which carry the token. */

import { token } from "./token.js";

/** The prefix of a proxy's addresses of this page, or "". */
export const prefix = () => document.documentElement.dataset.prefix ?? "";
const REQUEST_LIMIT_MS = 30_000;

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
  }

  /** Return a value. @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
  async get(path, signal) {
    const limit = AbortSignal.timeout(REQUEST_LIMIT_MS);
    const response = await this.request(path, { signal: signal ? AbortSignal.any([signal, limit]) : limit });
    return answerOf(response);
  }

  /**
   * Change something. Without a time limit: an operation such as `compact` may take long.
   * @param {string} path @param {Record<string, unknown>} [body] @returns {Promise<any>}
   */
  async post(path, body = {}) {
    const headers = { "Content-Type": "application/json" };
    return answerOf(await this.request(path, { method: "POST", headers, body: JSON.stringify(body) }));
  }

  /** Open a stream of events. @param {string} path @param {AbortSignal} signal @returns {Promise<ReadableStream<Uint8Array>>} */
  async stream(path, signal) {
    const response = await this.request(path, { signal, headers: { Accept: "text/event-stream" } });
    if (!response.body) throw new RequestError(0, "the server sent no stream");
    return response.body;
  }

  /** @param {string} path @param {RequestInit} init */
  async request(path, init) {
    const headers = { ...init.headers, Authorization: `Bearer ${token()}` };
    let response;
    try {
      response = await fetch(`${this.base}/${path}`, { ...init, headers, credentials: "omit", cache: "no-store" });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      const isLate = error instanceof DOMException && error.name === "TimeoutError";
      throw new RequestError(0, isLate ? "the server does not answer" : "the server cannot be reached");
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** @param {Response} response */
async function answerOf(response) {
  try {
    return await response.json();
  } catch {
    throw new RequestError(response.status, "the server's answer is incomplete");
  }
}

/** @param {Response} response */
async function errorOf(response) {
  const found = await response.json().catch(() => ({}));
  return new RequestError(response.status, found.error ?? `the server answered ${response.status}`, found.hint ?? "");
}

/** Carries out the effects of the hub's state machine: the stream, the waits, and what its tabs are told. */

import { initialHub, stepHub } from "./hub.js";
import { whenReleased } from "./locks.js";
import { FrameReader } from "./sse.js";

/** @import { HubEffect, HubInput, Member } from "./hub.js" */

export const SILENCE_LIMIT_MS = 8000; // the server sends a heartbeat every 3 s

/** Holds the one stream of this browser. `post` sends a message to a tab. */
export class HubRunner {
  /** @param {(tab: string, message: Record<string, any>) => void} post */
  constructor(post) {
    this.post = post;
    this.hub = initialHub();
    this.abort = new AbortController();
    this.timer = 0;
    this.base = ""; // of the server's routes
    this.token = ""; // the newest that a tab has sent
  }

  /**
   * Take a message of a tab: `hello` with the lock that it holds as long as it is there, `join`, `leave` or `retry`.
   * @param {string} tab @param {any} message
   */
  take(tab, message) {
    if (message.type === "hello") {
      whenReleased(message.lock, () => this.handle({ type: "tab_gone", tab }));
      return;
    }
    if (message.type === "join") ({ base: this.base, token: this.token } = message);
    this.handle({ ...message, tab });
  }

  close() {
    clearTimeout(this.timer);
    this.abort.abort();
    this.hub = initialHub();
  }

  /** @param {HubInput} input */
  handle(input) {
    const [hub, effects] = stepHub(this.hub, input);
    this.hub = hub;
    for (const effect of effects) this.carryOut(effect);
  }

  /** @param {HubEffect} effect */
  carryOut(effect) {
    switch (effect.do) {
      case "tell":
        for (const { tab, agent } of effect.members) this.post(tab, { ...effect.message, agent });
        return;
      case "open_in":
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.handle({ type: "open" }), effect.ms);
        return;
      case "close":
        clearTimeout(this.timer);
        this.abort.abort();
        return;
      case "open":
        clearTimeout(this.timer);
        this.abort.abort();
        this.abort = new AbortController();
        this.read(`stream?agents=${effect.agents}&view=rows&partial=1`, this.abort);
    }
  }

  /** @param {string} path @param {AbortController} abort */
  async read(path, abort) {
    const { signal } = abort;
    let reason = "";
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort("silent"), SILENCE_LIMIT_MS);
    };
    try {
      heard();
      const headers = { Accept: "text/event-stream", Authorization: `Bearer ${this.token}` };
      const response = await fetch(`${this.base}/${path}`, { signal, headers, cache: "no-store" });
      if (!response.ok || !response.body) return this.refused(response, signal);
      const reader = response.body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
      const frames = new FrameReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done || signal.aborted) break;
        heard();
        this.takeFrames(frames.push(value));
        if (signal.aborted) return;
      }
      reason = "the server ended the stream";
    } catch {
      reason = signal.reason === "silent" ? "the server does not answer" : "the connection was lost";
    } finally {
      clearTimeout(timer);
    }
    if (!signal.aborted || signal.reason === "silent") this.handle({ type: "lost", reason, now: Date.now() });
  }

  /** @param {import("./sse.js").Frame[]} frames */
  takeFrames(frames) {
    if (!frames.length) return;
    const events = frames.map(({ event, data }) => ({ event, data: JSON.parse(data) }));
    this.handle({ type: "events", events, now: Date.now() });
  }

  /** @param {Response} response @param {AbortSignal} signal */
  async refused(response, signal) {
    const found = await response.json().catch(() => ({}));
    if (signal.aborted) return;
    const reason = found.error ?? `the server answered ${response.status}`;
    if (response.status === 401 || response.status === 403) this.handle({ type: "refused", reason });
    else this.handle({ type: "lost", reason, now: Date.now() });
  }
}

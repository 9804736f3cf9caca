/** The state of every agent of the server, for the overview, the switcher and the bell. */

import { RequestError, prefix } from "./api.js";
import { startAgain } from "./token.js";
import { triaged } from "./triage.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

const REFRESH_EVERY_MS = 3000;
const REFRESH_HIDDEN_MS = 30_000; // a hidden page still tells of an agent that needs someone

export class Agents {
  /** @param {Api} api @param {AgentState[]} found @param {Record<string, any>} hive */
  constructor(api, found, hive) {
    this.api = api;
    this.found = found;
    this.hive = hive;
    this.trouble = ""; // why the last refresh failed
    this.refreshedAt = Date.now();
    /** @type {(() => void)[]} */
    this.listeners = [];
  }

  start() {
    const later = () => setTimeout(work, document.hidden ? REFRESH_HIDDEN_MS : REFRESH_EVERY_MS);
    const work = () => this.refresh().finally(later);
    later();
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  /** Call back when something may have changed. @param {() => void} listener */
  onChange(listener) {
    this.listeners.push(listener);
  }

  async refresh() {
    try {
      [this.found, this.hive] = await Promise.all([this.api.get("agents"), this.api.get("hive")]);
      this.refreshedAt = Date.now();
      this.trouble = "";
    } catch (error) {
      if (error instanceof RequestError && error.status === 401) return startAgain();
      this.trouble = error instanceof RequestError ? error.message : String(error);
    }
    for (const listener of this.listeners) listener();
  }

  /** The agents in triage order. */
  get triaged() {
    return triaged(this.found, Date.now());
  }

  get needing() {
    return this.triaged.filter(({ group }) => group === "needs");
  }
}

/** Return the address of an agent's page, of the overview for "". @param {string} agent */
export function pageOf(agent) {
  return agent ? `${prefix()}/agents/${encodeURIComponent(agent)}` : `${prefix()}/`;
}

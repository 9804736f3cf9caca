/** The state of every agent of the server, for the overview, the switcher and the bell. */

import { RequestError, prefix } from "./api.js";
import { OVERVIEW } from "./hub.js";
import { sharedHub } from "./shared_hub.js";
import { startAgain } from "./token.js";
import { triaged } from "./triage.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

export class Agents {
  /** @param {Api} api @param {AgentState[]} found @param {Record<string, any>} hive */
  constructor(api, found, hive) {
    this.api = api;
    this.found = found;
    this.hive = hive;
    this.trouble = ""; // why nothing is known since `knownAt`
    this.knownAt = Date.now();
    /** @type {(() => void)[]} */
    this.listeners = [];
  }

  /** Follow the states of all agents, over the stream that all tabs share. */
  start() {
    sharedHub().join(OVERVIEW, { since: null, ts: null }, (message) => this.take(message));
  }

  /** @param {any} message of the hub */
  take(message) {
    if (message.type === "rejoin") return this.start();
    if (message.type === "overview") this.update(message.data, message.isWhole);
    else if (message.type === "lost" || message.type === "refused") this.setTrouble(message.reason);
    this.tell();
  }

  /** @param {{agents: AgentState[], gone: string[], hive: Record<string, any> | null}} told @param {boolean} isWhole not only what has changed */
  update({ agents, gone, hive }, isWhole) {
    const known = isWhole ? [] : this.found.map((one) => [one.agent, one]);
    const all = new Map([...known, ...agents.map((one) => [one.agent, one])]);
    for (const name of gone) all.delete(name);
    this.found = [...all.values()];
    this.hive = hive ?? this.hive;
    this.setTrouble("");
  }

  /** Call back when something may have changed. @param {() => void} listener */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** Ask once, after something was done. */
  async refresh() {
    try {
      [this.found, this.hive] = await Promise.all([this.api.get("agents"), this.api.get("hive")]);
      this.setTrouble("");
    } catch (error) {
      if (error instanceof RequestError && error.status === 401) return startAgain();
      this.setTrouble(error instanceof RequestError ? error.message : String(error));
    }
    this.tell();
  }

  /** @param {string} trouble */
  setTrouble(trouble) {
    if (!trouble || !this.trouble) this.knownAt = Date.now();
    this.trouble = trouble;
  }

  tell() {
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

/** The banner below the header: what is wrong with the connection. */

import { isOver } from "./connection.js";
import { find, setText } from "./dom.js";
import { timeOfDay } from "./text.js";

/** @import { Connection } from "./connection.js" */

const QUIET_MS = 700; // a shorter loss is not shown

/**
 * Say what is wrong with the connection, "" if nothing is.
 * @param {Connection} connection @param {number} now Unix ms
 */
export function connectionWords(connection, now) {
  const { phase, reason, lostAt, retryAt, known } = connection;
  if (phase === "refused") return `No access: ${reason}. Open the address that hyperhive web printed.`;
  if (phase === "gone") return `Nothing to show: ${reason}. ‹ above leads to the existing agents.`;
  if (!lostAt || phase === "live") return "";
  const since = known ? ` What is shown ends at ${timeOfDay(lostAt)}.` : "";
  if (phase !== "reconnecting") return `Reconnecting.${since}`;
  const left = Math.max(0, Math.ceil((retryAt - now) / 1000));
  return `Not connected: ${reason}. Next try ${left ? `in ${left} s` : "now"}.${since}`;
}

export class Banner {
  /** @param {() => void} retry */
  constructor(retry) {
    this.element = find(".banner");
    this.button = find(".again", this.element);
    this.button.addEventListener("click", retry);
    /** @type {Connection | null} */
    this.connection = null;
    setInterval(() => this.draw(), 500);
  }

  /** @param {Connection} connection */
  setConnection(connection) {
    this.connection = connection;
    this.draw();
  }

  draw() {
    if (!this.connection) return;
    const now = Date.now();
    const { phase, lostAt } = this.connection;
    const words = !isOver(this.connection) && now - lostAt < QUIET_MS ? "" : connectionWords(this.connection, now);
    this.element.hidden = !words;
    this.button.hidden = phase !== "reconnecting" && !isOver(this.connection);
    setText(find(".words", this.element), words);
  }
}

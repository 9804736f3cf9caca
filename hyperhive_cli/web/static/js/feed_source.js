/** Where the feed gets what it shows on request: whole texts, images, older records, one turn. */

import { saveTranscript } from "./downloads.js";

/** @import { Api } from "./api.js" */
/** @import { FeedRecord } from "./connection.js" */

const TURN_EVENTS = 2000; // of a turn that is shown alone
const [AROUND_EVENTS, AFTER_EVENTS] = [300, 100]; // of an event that is shown with those around it, and after it
const LONGEST_WAIT_MS = 10_000; // for older records; then they are asked for again

/**
 * @typedef {object} Link
 * @property {(seq: number) => Promise<FeedRecord>} event return a record with nothing cut
 * @property {(before: number) => void} older ask for the records before this number: `showOlder` gets them
 */

export class Source {
  /** @param {string} agent @param {Api} api @param {Link} link @param {(text: string) => void} sendAgain */
  constructor(agent, api, link, sendAgain) {
    this.agent = agent;
    this.api = api;
    this.link = link;
    this.sendAgain = sendAgain;
    this.askedAt = -LONGEST_WAIT_MS;
  }

  /** Return a row with nothing cut. @param {any} row @returns {Promise<any>} */
  async wholeRow(row) {
    if (row.seq === null) return row;
    const { rows = [] } = await this.link.event(row.seq);
    const found = rows[Number(row.key.split(".")[1])];
    if (!found) throw new Error("the history does not have it any more");
    return found;
  }

  /** @param {number | null} seq @param {number} number */
  picture(seq, number) {
    return this.api.blob(`events/${seq}/images/${number}`);
  }

  /** Ask for the records before a number, once until they come. @param {number | null} before */
  wantOlder(before) {
    if (before === null || performance.now() - this.askedAt < LONGEST_WAIT_MS) return;
    this.askedAt = performance.now();
    this.link.older(before);
  }

  hasOlder() {
    this.askedAt = -LONGEST_WAIT_MS;
  }

  /** Return the records of a turn; rejects if the history does not have it. @param {number} turn @returns {Promise<FeedRecord[]>} */
  async turn(turn) {
    const { events } = await this.api.get(`events?view=rows&turn=${turn}&limit=${TURN_EVENTS}`);
    if (!events.length) throw new Error("it is not in the history");
    return events;
  }

  /** Return the records around a number, and the head of the turn within which they start. @param {number} seq @returns {Promise<{events: FeedRecord[], head: FeedRecord | null}>} */
  async around(seq) {
    return this.api.get(`events?view=rows&before=${seq + AFTER_EVENTS}&limit=${AROUND_EVENTS}`);
  }

  /** Return a turn as Markdown. @param {number} turn */
  async turnMarkdown(turn) {
    return (await this.api.blob(`export?format=md&turn=${turn}`)).text();
  }

  /** @param {number} turn @param {string} format */
  saveTurn(turn, format) {
    return saveTranscript(this.api, this.agent, format, turn);
  }

  /** Return the address of a turn. @param {number} turn */
  turnAddress(turn) {
    const prefix = document.documentElement.dataset.prefix ?? "";
    return `${location.origin}${prefix}/agents/${encodeURIComponent(this.agent)}/turns/${turn}`;
  }
}

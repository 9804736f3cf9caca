// A server with the histories of two agents, a hub and tabs, all of them the real machines; every answer, piece of the
// stream and message is delivered when the test says so, in any order that a browser allows.

import { initialConnection, step } from "../../../hyperhive_cli/web/static/js/connection.js";
import { initialHub, stepHub } from "../../../hyperhive_cli/web/static/js/hub.js";

const OPENED = 5;

/** One agent's history. A replaced one has events of the same numbers at other times. */
class History {
  constructor() {
    this.events = [];
    this.last = 0;
    this.clock = 0;
  }

  publish() {
    this.clock += 1;
    this.last += 1;
    this.events.push({ seq: this.last, ts: this.clock, kind: "note" });
    return this.events.at(-1);
  }

  sweep() {
    this.events.shift();
  }

  replace() {
    this.events = this.events.slice(0, Math.floor(this.events.length / 2));
    this.last = this.events.at(-1)?.seq ?? 0;
    this.clock += 100;
  }

  get oldest() {
    return this.events[0]?.seq ?? null;
  }

  get state() {
    return { seq: this.last, boot: "one", stored: true };
  }

  before(seq) {
    return this.events.filter((one) => one.seq < seq).slice(-OPENED);
  }

  /** What a stream sends first to someone at this position. */
  from({ since, ts }) {
    const at = this.events.find((one) => one.seq === since);
    const isAnother = since > this.last || (at && ts !== null && at.ts !== ts);
    const isSwept = !isAnother && this.oldest !== null && since < this.oldest - 1;
    const start = isAnother ? 0 : isSwept ? this.oldest - 1 : since;
    const told = isAnother || isSwept ? [{ event: "reset", data: { since: start } }] : [];
    const events = this.events.filter((one) => one.seq > start);
    return [...told, ...events.map((one) => ({ event: "records", data: { events: [one] } }))];
  }
}

export class Simulation {
  constructor() {
    this.agents = { bee: new History(), wasp: new History() };
    this.hub = initialHub();
    this.isDue = false; // the hub's timer has been set
    this.stream = null; // the events on their way, if one is open
    this.tabs = new Map();
    this.made = 0;
  }

  // --- what may happen ---

  publish(agent) {
    const events = [this.agents[agent].publish()];
    if (this.stream?.agents.has(agent)) this.stream.queue.push({ event: "records", data: { agent, events } });
  }

  sweep(agent) {
    if (this.agents[agent].events.length > 1) this.agents[agent].sweep();
  }

  replace(agent) {
    this.agents[agent].replace();
    if (this.stream?.agents.has(agent)) this.stream.queue.push(...this.named(agent, this.agents[agent].from({ since: Infinity, ts: null })));
  }

  openTab(agent) {
    this.made += 1;
    const tab = { agent, connection: initialConnection(), shown: [], asked: [], mail: [] };
    this.tabs.set(`tab ${this.made}`, tab);
    this.tabInput(`tab ${this.made}`, { type: "start" });
  }

  /** Close a tab without a word: its lock tells the hub. */
  closeTab(name) {
    this.tabs.delete(name);
    this.hubInput({ type: "tab_gone", tab: name });
  }

  /** The worker was killed: there is another one, which knows nothing. */
  replaceHub() {
    this.hub = initialHub();
    this.stream = null;
    this.isDue = false;
    for (const [name, tab] of this.tabs) {
      tab.mail = [];
      this.tabInput(name, { type: "rejoin" });
    }
  }

  lose() {
    this.stream = null;
    this.hubInput({ type: "lost", reason: "lost", now: 1 });
  }

  tick() {
    if (!this.isDue) return;
    this.isDue = false;
    this.hubInput({ type: "open" });
  }

  /** Deliver a piece of the stream. */
  flow(count) {
    const events = this.stream?.queue.splice(0, count) ?? [];
    if (events.length) this.hubInput({ type: "events", events, now: 1 });
  }

  /** Deliver a tab's oldest message. */
  deliver(name) {
    const message = this.tabs.get(name)?.mail.shift();
    if (message) this.tabInput(name, message);
  }

  /** Let the server see a tab's request, or let its answer arrive. */
  answer(name) {
    const tab = this.tabs.get(name);
    const [asked] = tab?.asked ?? [];
    if (!asked) return;
    const history = this.agents[tab.agent];
    if (!asked.answer) {
      const records = asked.before === undefined ? history.events.slice(-OPENED) : history.before(asked.before);
      const facts = { oldest: history.oldest, last: history.last };
      asked.answer =
        asked.before === undefined
          ? { type: "opened", answer: { state: history.state, events: records, ...facts } }
          : { type: "older_page", before: asked.before, records, ...facts };
      return;
    }
    tab.asked.shift();
    this.tabInput(name, asked.answer);
  }

  older(name) {
    if (this.tabs.has(name)) this.tabInput(name, { type: "older" });
  }

  /** Let everything arrive that is on its way. */
  settle() {
    for (let round = 0; round < 200; round += 1) {
      this.tick();
      this.flow(1000);
      for (const [name, tab] of this.tabs) {
        while (tab.mail.length) this.deliver(name);
        this.answer(name);
        this.answer(name);
      }
    }
  }

  // --- the machines ---

  hubInput(input) {
    const [hub, effects] = stepHub(this.hub, input);
    this.hub = hub;
    for (const effect of effects) {
      if (effect.do === "open_in") this.isDue = true;
      if (effect.do === "close") this.stream = null;
      if (effect.do === "close") this.isDue = false;
      if (effect.do === "open") this.open(effect.agents);
      if (effect.do === "tell") {
        for (const { tab } of effect.members) this.tabs.get(tab)?.mail.push(effect.message);
      }
    }
  }

  open(agents) {
    this.isDue = false;
    this.stream = { agents: new Set(), queue: [] };
    for (const [agent, since, ts] of agents.split(",").map((one) => one.split(":"))) {
      this.stream.agents.add(agent);
      const history = this.agents[agent];
      const position = { since: Number(since), ts: ts === undefined ? null : Number(ts) };
      const events = [{ event: "snapshot", data: history.state }, ...history.from(position)];
      this.stream.queue.push(...this.named(agent, events));
    }
  }

  named(agent, events) {
    return events.map(({ event, data }) => ({ event, data: { ...data, agent } }));
  }

  tabInput(name, input) {
    const tab = this.tabs.get(name);
    const [connection, effects] = step(tab.connection, input);
    tab.connection = connection;
    for (const effect of effects) {
      if (effect.do === "ask_open") tab.asked.push({});
      if (effect.do === "ask_older") tab.asked.push({ before: effect.before });
      if (effect.do === "clear") tab.shown = [];
      if (effect.do === "gap") tab.shown.push({ gap: effect.missing });
      if (effect.do === "show") tab.shown.push(...effect.records.map(({ seq, ts }) => ({ seq, ts })));
      if (effect.do === "show_older") tab.shown.unshift(...effect.records.map(({ seq, ts }) => ({ seq, ts })));
      if (effect.do === "join") this.hubInput({ type: "join", tab: name, agent: tab.agent, since: effect.since, ts: effect.ts });
      if (effect.do === "retry_stream") this.hubInput({ type: "retry" });
      if (effect.do === "leave") {
        tab.asked = [];
        tab.mail = [];
        this.hubInput({ type: "leave", tab: name, agent: tab.agent });
      }
    }
  }
}

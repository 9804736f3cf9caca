/** One agent's panel: puts the parts together, and passes on what the link to the server tells. */

import { announcementsOf } from "./announcements.js";
import { Bell } from "./bell.js";
import { colourSwitch } from "./colours.js";
import { Composer } from "./composer.js";
import { find, setText } from "./dom.js";
import { FeedClient } from "./feed_client.js";
import { Source } from "./feed_source.js";
import { Header } from "./header.js";
import { Inbox } from "./inbox.js";
import { Keyboard } from "./keys.js";
import { Login } from "./login.js";
import { NowBar } from "./now_bar.js";
import { showInTab, tellNews } from "./notify.js";
import { PanelActions } from "./panel_actions.js";
import { outbox } from "./outbox.js";
import { Palette } from "./palette.js";
import { SearchView } from "./search_view.js";
import { Switcher } from "./switcher.js";
import { startAgain } from "./token.js";
import { count } from "./text.js";
import { TranscriptView } from "./transcript_view.js";
import { Usage } from "./usage.js";

/** @import { Agents } from "./agents.js" */
/** @import { Api } from "./api.js" */
/** @import { Connection, FeedRecord, Snapshot } from "./connection.js" */

export class Panel {
  /** @param {string} agent @param {Api} api @param {Agents} agents @param {number} turn the turn to open at, 0: the newest */
  constructor(agent, api, agents, turn) {
    this.agent = agent;
    this.api = api;
    this.agents = agents;
    this.turn = turn;
    /** @type {Record<string, any>} */
    this.state = {};
    const changed = () => this.setState(this.state); // a part has something else to say
    const actions = (this.actions = new PanelActions(this));
    this.header = new Header(
      agent,
      (verb) => actions.change(verb),
      () => actions.chooseModel(),
    );
    this.nowBar = new NowBar((action) => actions.act(action));
    this.client = new FeedClient(agent, api, this);
    const source = new Source(agent, api, this.client, sendAgain);
    this.transcript = new TranscriptView(find(".feed"), find(".jump"), source);
    const local = (/** @type {import("./commands.js").Local} */ what) => actions.openLocal(what);
    this.composer = new Composer(agent, api, outbox, { changed, local });
    this.inbox = new Inbox(api, changed, sendAgain);
    this.login = new Login(api, changed);
    this.usage = new Usage(agent, api, {
      toTurn: (number) => actions.toTurn(number),
      raise: () => actions.chooseBudget(),
    });
    this.switcher = new Switcher(agents, agent);
    this.bell = new Bell(agents);
    const turns = async () => (await this.api.get("turns?limit=40")).turns;
    this.palette = new Palette(
      agents,
      () => actions.entries(),
      turns,
      (number) => actions.toTurn(number),
      (words) => (this.state.stored && !this.state.hive ? (event) => actions.searchFor(words, event) : null),
    );
    this.search = new SearchView(find("main.talk"), agent, api, (hit) => actions.toHit(hit));
    this.keyboard = new Keyboard(actions.shortcuts());
    this.announcer = find(".announcer");
  }

  start() {
    colourSwitch(find(".theme-b"));
    find(".find").hidden = false;
    find(".find").addEventListener("click", () => this.palette.show());
    this.wireTabs();
    tellNews(this.agents);
    this.agents.onChange(() => this.showInTab());
    this.agents.start();
    this.client.start();
    outbox.start();
    this.search.start(location.search);
  }

  // --- called by the feed's client ---

  /** @param {FeedRecord[]} records */
  show(records) {
    this.transcript.show(records);
    if (this.client.connection.phase !== "live") return void Object.assign(this.state, this.turnOf(records));
    this.state = Object.assign({}, this.state, ...records.map((record) => record.facts), this.turnOf(records));
    this.header.setState(this.state);
    this.nowBar.setState(this.state);
    const announced = records.flatMap(announcementsOf);
    if (announced.length) setText(this.announcer, announced.slice(-3).join(". "));
  }

  /** The number of the newest turn, which no field of the state has. @param {FeedRecord[]} records */
  turnOf(records) {
    const numbers = records.flatMap((record) => record.rows ?? []).map((row) => count(row.turn));
    return { turn: Math.max(count(this.state.turn), ...numbers) };
  }

  /** @param {number} missing */
  showGap(missing) {
    this.transcript.showGap(missing);
  }

  /** @param {FeedRecord} head */
  setHead(head) {
    this.transcript.setHead(head);
  }

  /** @param {FeedRecord[]} records @param {{isStart: boolean, head: FeedRecord | null}} about */
  showOlder(records, about) {
    this.transcript.prepend(records, about);
  }

  clear() {
    this.transcript.clear();
  }

  /** @param {Snapshot} snapshot */
  setState(snapshot) {
    this.state = { ...this.state, ...snapshot };
    for (const part of [this.header, this.nowBar, this.login, this.composer, this.inbox, this.usage]) {
      part.setState(this.state);
    }
    this.transcript.setRunning(Boolean(this.state.running));
    this.showInTab();
  }

  /** @param {{messages: Record<string, any>[], more: boolean}} inbox */
  setInbox(inbox) {
    this.inbox.setInbox(inbox);
    this.composer.setInbox(inbox);
  }

  /** @param {boolean} isSlow */
  setSlow(isSlow) {
    this.nowBar.setSlow(isSlow);
  }

  /** @param {Connection} connection */
  setConnection(connection) {
    this.header.setConnection(connection);
    this.nowBar.setConnection(connection);
    this.composer.setConnection(connection);
    document.body.dataset.phase = connection.phase;
    if (connection.phase === "refused") startAgain();
    if (connection.phase !== "live") return;
    this.transcript.setComplete();
    if (this.turn) this.actions.toTurn(this.turn);
    this.turn = 0;
    outbox.retryNow();
  }

  showInTab() {
    showInTab(this.agents.needing.length, this.agent, this.nowBar.now.mark);
  }

  wireTabs() {
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.addEventListener("click", () => this.openPart(/** @type {HTMLElement} */ (tab).dataset.part ?? "talk"));
    }
  }

  /** A narrow page shows one part at a time. @param {string} part */
  openPart(part) {
    find(".parts").dataset.part = part;
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (tab).dataset.part === part));
    }
    if (part === "usage") this.usage.setState(this.state);
    if (part === "talk") this.transcript.onScroll();
  }
}

/** Put a text into the message field, where it can be changed before it is sent. @param {string} text */
function sendAgain(text) {
  const field = /** @type {HTMLTextAreaElement} */ (find("#message"));
  const message = text.startsWith("/") ? `/${text}` : text; // not a command
  field.value = field.value ? `${message}\n\n${field.value}` : message;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

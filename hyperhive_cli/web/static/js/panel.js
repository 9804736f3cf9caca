/** One agent's panel: puts the parts together, and decides when to ask for the agent's state again. */

import { announcementsOf } from "./announcements.js";
import { RequestError } from "./api.js";
import { Charts } from "./charts.js";
import { colourSwitch } from "./colours.js";
import { Composer, errorWords } from "./composer.js";
import { find, setText } from "./dom.js";
import { FeedClient } from "./feed_client.js";
import { Header } from "./header.js";
import { Inbox } from "./inbox.js";
import { Login } from "./login.js";
import { NowBar } from "./now_bar.js";
import { string } from "./text.js";
import { refuseToken } from "./token.js";
import { TranscriptView } from "./transcript_view.js";

/** @import { Api } from "./api.js" */
/** @import { Connection, FeedRecord, Snapshot } from "./connection.js" */

const REFRESH_EVERY_MS = 5000; // other commands send messages too, and no event says so
const REFRESH_LOGIN_EVERY_MS = 1000;
const SOON_MS = 150;
const REFRESHING_KINDS = new Set(["turn_start", "turn_end", "status_changed", "note"]);

export class Panel {
  /** @param {string} agent @param {Api} api @param {boolean} isOnly whether this server has no other agent */
  constructor(agent, api, isOnly) {
    this.api = api;
    /** @type {Record<string, any>} */
    this.state = {};
    this.agent = agent;
    this.isOnly = isOnly;
    const soon = () => this.refreshSoon();
    this.header = new Header(agent, (verb) => this.change(verb));
    this.nowBar = new NowBar((action) => this.act(action));
    this.transcript = new TranscriptView(find(".feed"), find(".jump"));
    this.composer = new Composer(api, soon);
    this.inbox = new Inbox(api, soon);
    this.login = new Login(api, soon);
    this.charts = new Charts(api);
    this.client = new FeedClient(api, this);
    this.announcer = find(".announcer");
    this.timer = 0;
    this.soonTimer = 0;
    this.isRefreshing = false;
  }

  start() {
    colourSwitch(find(".theme-b"), () => this.charts.redraw());
    this.wireModel();
    this.wireTabs();
    document.addEventListener("visibilitychange", () => document.hidden || this.refreshSoon());
    this.client.start();
    this.refreshLater();
  }

  // --- called by the feed's client ---

  /** @param {FeedRecord[]} records */
  show(records) {
    this.transcript.show(records);
    if (this.client.connection.phase !== "live") return;
    this.state = Object.assign({}, this.state, ...records.map((record) => record.facts));
    this.header.setState(this.state);
    this.nowBar.setState(this.state);
    const announced = records.flatMap(announcementsOf);
    if (announced.length) setText(this.announcer, announced.slice(-3).join(". "));
    if (records.some((record) => REFRESHING_KINDS.has(record.kind))) this.refreshSoon();
  }

  /** @param {number} missing */
  showGap(missing) {
    this.transcript.showGap(missing);
  }

  clear() {
    this.transcript.clear();
  }

  /** @param {Snapshot} snapshot */
  setState(snapshot) {
    this.state = { ...this.state, ...snapshot };
    for (const part of [this.header, this.nowBar, this.login, this.composer, this.inbox]) part.setState(this.state);
    this.charts.showUpTo(snapshot.last_turn?.turn_id ?? null);
  }

  /** @param {Connection} connection */
  setConnection(connection) {
    this.header.setConnection(connection);
    this.nowBar.setConnection(connection);
    document.body.dataset.phase = connection.phase;
    if (connection.phase === "refused") this.lock();
    if (connection.phase !== "live") return;
    this.transcript.setComplete();
    this.refreshSoon();
  }

  /** The server has another token: start again, with one of another tab or without one. */
  lock() {
    refuseToken();
    location.reload();
  }

  // --- the agent's state beside the events ---

  refreshSoon() {
    if (this.soonTimer) return;
    this.soonTimer = setTimeout(() => {
      this.soonTimer = 0;
      this.refresh();
    }, SOON_MS);
  }

  refreshLater() {
    clearTimeout(this.timer);
    const wait = Login.isInProgress(this.state) ? REFRESH_LOGIN_EVERY_MS : REFRESH_EVERY_MS;
    this.timer = setTimeout(() => (document.hidden ? this.refreshLater() : this.refresh()), wait);
  }

  async refresh() {
    if (this.client.connection.phase === "live" && !this.isRefreshing) {
      this.isRefreshing = true;
      try {
        const [snapshot] = await Promise.all([this.api.get("state"), this.inbox.refresh()]);
        this.setState(snapshot);
      } catch (error) {
        // The stream reports every other error, and the now bar shows it; but it stays open when its agent is gone.
        if (error instanceof RequestError && error.status === 404) this.client.handle({ type: "gone", reason: error.message });
      }
      this.isRefreshing = false;
    }
    this.refreshLater();
  }

  // --- buttons ---

  /** What the now bar offers. @param {import("./now.js").Action} action */
  act(action) {
    if (action.verb === "reconnect") return this.client.retryNow();
    if (action.verb === "login") return this.login.start();
    if (action.verb === "model") return this.chooseModel();
    if (action.verb === "cancel" || action.verb === "resume") this.change(action.verb);
  }

  /** @param {"cancel" | "pause" | "resume"} verb */
  change(verb) {
    this.composer.attempt(async () => {
      await this.api.post(verb);
      return { cancel: "Turn cancelled", pause: "Paused", resume: "Resumed" }[verb];
    });
  }

  chooseModel() {
    if (this.state.hive) return; // it is set on the agent's own machine
    const sheet = /** @type {HTMLDialogElement} */ (/** @type {unknown} */ (find(".model-sheet")));
    const field = /** @type {HTMLInputElement} */ (find("input", sheet));
    field.value = string(this.state.model);
    sheet.showModal();
    field.select();
  }

  wireModel() {
    const sheet = /** @type {HTMLDialogElement} */ (/** @type {unknown} */ (find(".model-sheet")));
    const field = /** @type {HTMLInputElement} */ (find("input", sheet));
    find(".top .model").addEventListener("click", () => this.chooseModel());
    find(".dismiss", sheet).addEventListener("click", () => sheet.close());
    find("form", sheet).addEventListener("submit", async (event) => {
      event.preventDefault();
      field.setCustomValidity("");
      try {
        await this.api.post("model", { model: field.value.trim() });
        sheet.close();
        this.refreshSoon();
      } catch (error) {
        field.setCustomValidity(errorWords(error));
        field.reportValidity();
      }
    });
    field.addEventListener("input", () => field.setCustomValidity(""));
  }

  wireTabs() {
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.addEventListener("click", () => this.openPart(/** @type {HTMLElement} */ (tab).dataset.part ?? "talk"));
    }
    document.addEventListener("keydown", (event) => {
      const isTyping = event.target instanceof HTMLElement && event.target.closest("input, textarea");
      if (event.key === "End" && !isTyping) this.transcript.toBottom();
    });
  }

  /** A narrow page shows one part at a time. @param {string} part */
  openPart(part) {
    find(".parts").dataset.part = part;
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (tab).dataset.part === part));
    }
    if (part === "usage") this.charts.showUpTo(this.state.last_turn?.turn_id ?? null);
    if (part === "talk") this.transcript.onScroll();
  }
}

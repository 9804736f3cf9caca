/** One agent's panel: puts the parts together, and decides when the agent's state is asked for again. */

import { RequestError } from "./access.js";
import { Banner } from "./banner.js";
import { Charts } from "./charts.js";
import { colourSwitch } from "./colours.js";
import { Composer, complaint } from "./composer.js";
import { find, setText } from "./dom.js";
import { observe } from "./facts.js";
import { Feed } from "./feed.js";
import { Header } from "./header.js";
import { Inbox } from "./inbox.js";
import { Link } from "./link.js";
import { Login } from "./login.js";
import { spokenOf } from "./spoken.js";
import { string } from "./text.js";

/** @import { Api } from "./access.js" */
/** @import { Connection, LiveEvent, Snapshot } from "./connection.js" */

const LOOK_EVERY_MS = 5000; // messages come from other commands too, and no event tells of them
const LOGIN_EVERY_MS = 1000;
const SOON_MS = 150;
const TELLING = new Set(["turn_start", "turn_end", "status_changed", "note"]);

export class Panel {
  /** @param {string} agent @param {Api} api @param {boolean} isOne whether this server has no other agent */
  constructor(agent, api, isOne) {
    this.api = api;
    /** @type {Record<string, any>} */
    this.facts = {};
    find(".where").hidden = isOne;
    const soon = () => this.lookSoon();
    this.header = new Header(agent);
    this.feed = new Feed(find(".feed"), find(".pill"));
    this.composer = new Composer(api, soon);
    this.inbox = new Inbox(api, soon);
    this.login = new Login(api, soon);
    this.charts = new Charts(api);
    this.link = new Link(api, this);
    this.banner = new Banner(() => this.link.retryNow());
    this.announcer = find(".announcer");
    this.timer = 0;
    this.soonTimer = 0;
    this.isLooking = false;
  }

  start() {
    colourSwitch(find(".theme"), () => this.charts.redraw());
    this.wireHeader();
    this.wireTabs();
    document.addEventListener("visibilitychange", () => document.hidden || this.lookSoon());
    this.link.start();
    this.lookLater();
  }

  // --- what the link tells ---

  /** @param {LiveEvent[]} events */
  show(events) {
    this.feed.show(events);
    const isLive = this.link.connection.phase === "live";
    for (const event of events) if (isLive) this.facts = observe(this.facts, event);
    if (!isLive) return;
    this.header.know(this.facts);
    const spoken = events.map(spokenOf).filter(Boolean);
    if (spoken.length) setText(this.announcer, spoken.slice(-3).join(". "));
    if (events.some((event) => TELLING.has(event.kind))) this.lookSoon();
  }

  /** @param {number} missing */
  gap(missing) {
    this.feed.gap(missing);
  }

  beginAfresh() {
    this.feed.clear();
  }

  /** @param {Snapshot} snapshot */
  know(snapshot) {
    this.facts = { ...this.facts, ...snapshot };
    this.header.know(this.facts);
    this.login.know(this.facts);
    this.composer.know(this.facts);
    this.inbox.know(this.facts);
    this.charts.upTo(snapshot.last_turn?.turn_id ?? null);
  }

  /** @param {Connection} connection */
  connected(connection) {
    this.header.connected(connection);
    this.banner.connected(connection);
    document.body.dataset.phase = connection.phase;
    if (connection.phase !== "live") return;
    this.feed.settle();
    this.lookSoon();
  }

  // --- what the agent's files and harness say beside the events ---

  lookSoon() {
    if (this.soonTimer) return;
    this.soonTimer = setTimeout(() => {
      this.soonTimer = 0;
      this.look();
    }, SOON_MS);
  }

  lookLater() {
    clearTimeout(this.timer);
    const wait = Login.isUnderWay(this.facts) ? LOGIN_EVERY_MS : LOOK_EVERY_MS;
    this.timer = setTimeout(() => (document.hidden ? this.lookLater() : this.look()), wait);
  }

  async look() {
    if (this.link.connection.phase === "live" && !this.isLooking) {
      this.isLooking = true;
      try {
        const [snapshot] = await Promise.all([this.api.get("state"), this.inbox.refresh()]);
        this.know(snapshot);
      } catch (error) {
        // All else the link finds out by itself, and the banner says so; a stream goes on though its agent has gone.
        if (error instanceof RequestError && error.status === 404) this.link.feed({ type: "gone", reason: error.message });
      }
      this.isLooking = false;
    }
    this.lookLater();
  }

  // --- buttons ---

  wireHeader() {
    const does = { ".stop": "cancel", ".pause": "pause", ".go": "resume" };
    for (const [selector, path] of Object.entries(does)) {
      find(`.top ${selector}`).addEventListener("click", () =>
        this.composer.attempt(async () => {
          await this.api.post(path);
          return { cancel: "cancelled", pause: "paused", resume: "goes on" }[path] ?? "done";
        }),
      );
    }
    find(".top .unread").addEventListener("click", () => this.openPart("inbox"));
    const form = /** @type {HTMLFormElement} */ (find(".model-form"));
    const field = /** @type {HTMLInputElement} */ (find("input", form));
    const chip = find(".top .model");
    const close = () => {
      form.hidden = true;
      chip.focus();
    };
    chip.addEventListener("click", () => {
      if (this.facts.hive) return; // it is set on the agent's own machine
      form.hidden = !form.hidden;
      field.value = string(this.facts.model);
      if (!form.hidden) field.select();
    });
    find(".dismiss", form).addEventListener("click", close);
    form.addEventListener("keydown", (event) => event.key === "Escape" && close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      field.setCustomValidity("");
      try {
        await this.api.post("model", { model: field.value.trim() });
        close();
        this.lookSoon();
      } catch (error) {
        field.setCustomValidity(complaint(error));
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
      if (event.key === "End" && !isTyping) this.feed.toBottom();
    });
  }

  /** On a narrow page one part is seen at a time. @param {string} part */
  openPart(part) {
    find(".parts").dataset.part = part;
    for (const tab of document.querySelectorAll(".tabs button")) {
      tab.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (tab).dataset.part === part));
    }
    if (part === "charts") this.charts.upTo(this.facts.last_turn?.turn_id ?? null);
    if (part === "inbox") find(".inbox").scrollIntoView({ block: "nearest" });
    if (part === "talk") this.feed.look();
  }
}

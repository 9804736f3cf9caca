/** The now bar: draws what `nowOf` says, every second, and asks before it cancels a turn. */

import { find, h, icon, setText } from "./dom.js";
import { initialConnection } from "./connection.js";
import { nowOf } from "./now.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Connection } from "./connection.js" */
/** @import { Action, Now } from "./now.js" */

const ASKS_MS = 5000;
/** @type {Record<string, string>} */
const ICONS = { cancel: "stop", resume: "retry", reconnect: "retry" };

export class NowBar {
  /** @param {(action: Action) => void} act */
  constructor(act) {
    this.act = act;
    /** @type {AgentState} */
    this.state = {};
    this.connection = initialConnection();
    this.root = find(".now");
    this.line = find(".col", this.root);
    this.mark = h("span", { class: "st wait", "aria-hidden": "true" });
    this.title = h("b", "title");
    this.elapsed = h("span", { class: "num soft elapsed", "aria-hidden": "true" });
    this.soft = h("span", "num soft beside");
    this.detail = h("code", "what cut grow");
    this.gap = h("span", "grow");
    this.facts = h("span", "aside num");
    this.buttons = h("span", "doing");
    this.line.append(this.mark, this.title, this.elapsed, this.soft, this.detail, this.gap, this.facts, this.buttons);
    this.isSlow = false;
    this.drawn = "";
    this.asking = 0;
    setInterval(() => this.draw(), 1000);
    this.draw();
  }

  /** @param {AgentState} state */
  setState(state) {
    this.state = state;
    this.draw();
  }

  /** @param {Connection} connection */
  setConnection(connection) {
    this.connection = connection;
    this.draw();
  }

  /** Say that the server has not answered for a while. @param {boolean} isSlow */
  setSlow(isSlow) {
    this.isSlow = isSlow;
    this.draw();
  }

  /** What the bar says now. @returns {Now} */
  get now() {
    return nowOf(this.state, this.connection, Date.now());
  }

  draw() {
    const now = this.now;
    this.root.className = now.wash ? `now ${now.wash}` : "now";
    this.mark.className = `st ${now.mark}`;
    setText(this.title, now.title);
    setText(this.elapsed, now.elapsed ?? "");
    setText(this.soft, now.soft ?? "");
    setText(this.detail, now.detail ?? "");
    setText(this.facts, this.isSlow ? "Waiting for the server’s answer" : (now.facts ?? ""));
    this.line.title = now.hint ?? "";
    for (const part of [this.elapsed, this.soft, this.detail, this.facts]) part.hidden = !part.textContent;
    this.gap.hidden = !this.detail.hidden;
    this.drawActions(now.actions ?? []);
  }

  /** @param {Action[]} actions */
  drawActions(actions) {
    const canCancel = actions.some((one) => one.verb === "cancel");
    if (this.asking && canCancel) return;
    this.stopAsking();
    const key = JSON.stringify(actions);
    if (key === this.drawn) return;
    this.drawn = key;
    this.buttons.replaceChildren(...actions.map((action) => this.button(action)));
  }

  /** @param {Action} action */
  button(action) {
    const sign = ICONS[action.verb] && icon(ICONS[action.verb], "s");
    const [first, ...rest] = action.label.split(/(?= turn$)/u);
    const label = h("span", "", first, ...rest.map((word) => h("span", "opt-w", word)));
    const onclick = () => (action.verb === "cancel" ? this.ask() : this.act(action));
    const name = { "aria-label": action.label, "data-verb": action.verb };
    return h("button", { type: "button", class: `btn small ${action.look}`.trim(), ...name, onclick }, sign, label);
  }

  /** Ask in place before the turn is cancelled; without an answer it goes on. */
  ask() {
    const { turn } = this.state;
    const yes = h("button", { type: "button", class: "btn small danger", "data-verb": "yes" }, "Yes, cancel");
    const keep = h("button", { type: "button", class: "btn small", "data-verb": "keep" }, "Keep it running");
    yes.addEventListener("click", () => {
      this.stopAsking();
      this.act({ verb: "cancel", label: "Cancel turn", look: "danger" });
    });
    keep.addEventListener("click", () => this.stopAsking());
    this.buttons.replaceChildren(h("b", "sure", `Cancel ${turn ? `turn ${turn}` : "this turn"}?`), yes, keep);
    keep.focus();
    this.asking = setTimeout(() => this.stopAsking(), ASKS_MS);
  }

  stopAsking() {
    if (!this.asking) return;
    const hadFocus = this.buttons.contains(document.activeElement);
    clearTimeout(this.asking);
    this.asking = 0;
    this.drawn = "";
    this.draw();
    if (hadFocus) this.buttons.querySelector("button")?.focus();
  }
}

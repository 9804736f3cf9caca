/** The header of a panel: status, model, context, turn, unread. It is redrawn every second, from the agent's own times. */

import { contextBadge, machineWords, statusBadge, turnState } from "./agent_state.js";
import { find, setText } from "./dom.js";
import { clean, count, oneLine, textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Connection } from "./connection.js" */

export class Header {
  /** @param {string} agent */
  constructor(agent) {
    this.agent = agent;
    /** @type {AgentState} */
    this.state = {};
    this.phase = "connecting";
    this.root = find("header.top");
    this.buttons = {
      cancel: find(".cancel", this.root),
      pause: find(".pause", this.root),
      resume: find(".resume", this.root),
      login: find(".login-start", this.root),
    };
    setText(find(".agent", this.root), agent);
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
    this.phase = connection.phase;
    this.draw();
  }

  draw() {
    const now = Date.now() / 1000;
    this.drawStatus(now);
    this.drawModel();
    this.drawContext();
    this.drawTurn(now);
    this.drawMachine();
    const unread = count(this.state.unread);
    setText(find(".unread .count", this.root), String(unread));
    find(".unread", this.root).classList.toggle("some", unread > 0);
    document.title = `${unread ? `(${unread}) ` : ""}${this.agent} · ${this.statusWords ?? ""}`;
  }

  /** @param {number} now */
  drawStatus(now) {
    const badge = statusBadge(this.state, this.phase, now);
    const element = find(".status", this.root);
    this.statusWords = badge.words;
    setText(find(".words", element), badge.words);
    setText(find(".countdown", element), badge.countdown);
    element.className = `badge status ${badge.tone}`;
    element.title = badge.hint;
    this.drawButtons(Boolean(badge.countdown));
  }

  /** Show the buttons that can be used now. @param {boolean} isWaiting */
  drawButtons(isWaiting) {
    const { state, buttons } = this;
    const canSteer = Boolean(state.running) && state.capabilities?.steer !== false && this.phase === "live";
    buttons.resume.hidden = !canSteer || !(isWaiting || state.paused || state.status === "failed");
    buttons.pause.hidden = !canSteer || Boolean(state.paused);
    buttons.cancel.hidden = !canSteer || state.state === "idle" || !state.state;
    buttons.login.hidden = !canSteer || state.status !== "needs_login_idle";
  }

  drawModel() {
    const model = oneLine(textOf(this.state.model), 40).replace(/^claude-/u, "") || "model";
    const element = find(".model", this.root);
    setText(element, model);
    element.setAttribute("aria-label", `model ${model}: change`);
    element.title = (this.state.limit_words ?? []).join("\n");
  }

  drawContext() {
    const { share, words, sizes, tone } = contextBadge(this.state);
    const element = find(".context", this.root);
    setText(find(".share", element), words);
    setText(find(".sizes", element), share === null ? "" : sizes);
    find(".fill", element).style.width = `${Math.round((share ?? 0) * 100)}%`;
    element.className = `chip context ${tone}`;
    element.setAttribute("aria-label", `context ${words}, ${sizes}`);
    element.title = `Context window: ${sizes}`;
  }

  /** @param {number} now */
  drawTurn(now) {
    const { state, doing, elapsed } = turnState(this.state, now);
    const element = find(".turn", this.root);
    setText(find(".state", element), clean(doing || state) || "–");
    setText(find(".elapsed", element), elapsed);
    element.dataset.state = state;
  }

  drawMachine() {
    const { machine, report } = machineWords(this.state);
    const element = find(".machine", this.root);
    element.hidden = !machine;
    setText(find(".name", element), machine);
    element.title = `Last report: ${report}. It is controlled on its own machine.`;
  }
}

/** The header of a panel: alive, model, context, turn, unread; it ticks each second, from the agent's own times. */

import { aliveBadge, contextBadge, turnState, whereabouts } from "./facts.js";
import { find, setText } from "./dom.js";
import { openLimits } from "./limits.js";
import { clean, count, oneLine, textOf } from "./text.js";

/** @import { Connection } from "./connection.js" */

export class Header {
  /** @param {string} agent */
  constructor(agent) {
    this.agent = agent;
    /** @type {Record<string, any> | null} */
    this.facts = null;
    this.phase = "connecting";
    this.root = find("header.top");
    this.buttons = {
      stop: find(".stop", this.root),
      pause: find(".pause", this.root),
      go: find(".go", this.root),
      login: find(".login-begin", this.root),
    };
    setText(find(".agent", this.root), agent);
    setInterval(() => this.draw(), 1000);
    this.draw();
  }

  /** @param {Record<string, any>} facts */
  know(facts) {
    this.facts = facts;
    this.draw();
  }

  /** @param {Connection} connection */
  connected(connection) {
    this.phase = connection.phase;
    this.draw();
  }

  draw() {
    const now = Date.now() / 1000;
    this.drawAlive(now);
    this.drawModel(now);
    this.drawContext();
    this.drawTurn(now);
    this.drawMachine();
    const unread = count(this.facts?.unread);
    setText(find(".unread .count", this.root), String(unread));
    find(".unread", this.root).classList.toggle("some", unread > 0);
    document.title = `${unread ? `(${unread}) ` : ""}${this.agent} · ${this.spoken ?? ""}`;
  }

  /** @param {number} now */
  drawAlive(now) {
    const badge = aliveBadge(this.facts, this.phase, now);
    const element = find(".alive", this.root);
    this.spoken = badge.words;
    setText(find(".words", element), badge.words);
    setText(find(".countdown", element), badge.countdown);
    element.className = `badge alive ${badge.tone}`;
    element.title = badge.hint;
    this.drawButtons(Boolean(badge.countdown));
  }

  /** Show what can be done now. @param {boolean} isWaiting */
  drawButtons(isWaiting) {
    const facts = this.facts ?? {};
    const steers = Boolean(facts.running) && facts.capabilities?.steer !== false && this.phase === "live";
    this.buttons.go.hidden = !steers || !(isWaiting || facts.paused || facts.status === "failed");
    this.buttons.pause.hidden = !steers || Boolean(facts.paused);
    this.buttons.stop.hidden = !steers || facts.state === "idle" || !facts.state;
    this.buttons.login.hidden = !steers || facts.status !== "needs_login_idle";
  }

  /** @param {number} now */
  drawModel(now) {
    const model = oneLine(textOf(this.facts?.model), 40).replace(/^claude-/u, "") || "model";
    const element = find(".model", this.root);
    setText(element, model);
    element.setAttribute("aria-label", `model ${model}: change`);
    element.title = openLimits(this.facts?.limits, now).join("\n");
  }

  drawContext() {
    const { share, words, sizes, tone } = contextBadge(this.facts);
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
    const { state, doing, elapsed } = turnState(this.facts, now);
    const element = find(".turn", this.root);
    setText(find(".state", element), clean(doing || state) || "–");
    setText(find(".elapsed", element), elapsed);
    element.dataset.state = state;
  }

  drawMachine() {
    const { machine, report } = whereabouts(this.facts);
    const element = find(".machine", this.root);
    element.hidden = !machine;
    setText(find(".name", element), machine);
    element.title = `What it says of itself was reported ${report}. It is steered on its machine.`;
  }
}

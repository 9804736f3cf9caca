/** The header of a panel: the agent, its model, how full its context is, what today costs; pause and resume. */

import { contextBadge, machineWords } from "./agent_state.js";
import { find, h, icon, setText } from "./dom.js";
import { money } from "./figures.js";
import { mapping, number, oneLine, textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */

export class Header {
  /** @param {string} agent @param {(verb: "pause" | "resume") => void} act @param {() => void} chooseModel */
  constructor(agent, act, chooseModel) {
    this.agent = agent;
    /** @type {AgentState} */
    this.state = {};
    this.isLive = false;
    this.root = find("header.top");
    this.pause = find(".pause-b", this.root);
    this.pause.addEventListener("click", () => act(this.isPaused ? "resume" : "pause"));
    find(".model", this.root).addEventListener("click", chooseModel);
    setText(find(".agent .name", this.root), agent);
    this.draw();
  }

  get isPaused() {
    return Boolean(this.state.paused);
  }

  /** @param {AgentState} state */
  setState(state) {
    this.state = state;
    this.draw();
  }

  /** @param {import("./connection.js").Connection} connection */
  setConnection(connection) {
    this.isLive = connection.phase === "live";
    this.draw();
  }

  draw() {
    this.drawModel();
    this.drawContext();
    this.drawToday();
    this.drawMachine();
    this.drawPause();
  }

  drawModel() {
    const model = oneLine(textOf(this.state.model), 40).replace(/^claude-/u, "");
    const element = find(".model", this.root);
    setText(find(".name", element), model || "Model");
    element.setAttribute("aria-label", `Model ${model}: change`);
    element.title = ["Model of the next turn", ...(this.state.limit_words ?? [])].join("\n");
  }

  drawContext() {
    const { share, words, sizes, tone } = contextBadge(this.state);
    const element = find(".context", this.root);
    setText(find(".share", element), words);
    setText(find(".wide", element), share === null ? "" : sizes);
    find(".meter", element).className = `meter ${tone}`.trim();
    find(".meter i", element).style.width = `${Math.round((share ?? 0) * 100)}%`;
    element.title = `Context: ${sizes} tokens`;
  }

  drawToday() {
    const { cost_usd: spent, limit_usd: limit } = mapping(this.state.budget?.today);
    const cost = number(spent) ?? number(this.state.today?.cost_usd);
    const element = find(".today", this.root);
    const most = number(limit);
    element.hidden = cost === null;
    const share = most ? Math.min(1, (cost ?? 0) / most) : 0;
    const meter = find(".meter", element);
    meter.hidden = !most;
    meter.className = `meter ${share >= 1 ? "full" : share >= 0.8 ? "warm" : ""}`.trim();
    find("i", meter).style.width = `${Math.round(share * 100)}%`;
    const words = find(".spent", element);
    const text = `${money(cost)}${most ? ` of ${money(most)}` : ""}`;
    if (words.textContent !== text) words.replaceChildren(h("b", "", money(cost)), most ? ` of ${money(most)}` : "");
    const tabs = find(".tabs .fact");
    setText(tabs, [`Context ${contextBadge(this.state).words}`, cost === null ? "" : text].filter(Boolean).join(" · "));
  }

  drawMachine() {
    const { machine, report } = machineWords(this.state);
    const element = find(".machine", this.root);
    element.hidden = !machine;
    setText(find(".name", element), machine);
    element.title = `Last report: ${report}. It is controlled on its own machine.`;
  }

  drawPause() {
    const { pause, state } = this;
    pause.hidden = !this.isLive || !state.running || state.capabilities?.steer === false;
    const key = String(this.isPaused);
    if (pause.dataset.paused === key) return;
    pause.dataset.paused = key;
    pause.classList.toggle("main", this.isPaused);
    pause.setAttribute("aria-label", this.isPaused ? `Resume ${this.agent}` : `Pause ${this.agent}`);
    pause.title = this.isPaused ? "Start turns again" : "Stop starting turns until you resume";
    pause.replaceChildren(icon(this.isPaused ? "play" : "pause"), h("span", "w", this.isPaused ? "Resume" : "Pause"));
  }
}

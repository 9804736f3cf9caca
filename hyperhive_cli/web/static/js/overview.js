/** Several agents on one page, a card each. */

import { contextBadge, machineWords, statusBadge, turnState } from "./agent_state.js";
import { RequestError, prefix } from "./api.js";
import { colourSwitch } from "./colours.js";
import { find, h, setText } from "./dom.js";
import { dollars, oneLine, plural, textOf, timeOfDay } from "./text.js";
import { outcomeSign } from "./vocabulary.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Api } from "./api.js" */

const REFRESH_EVERY_MS = 2000;

export class Overview {
  /** @param {Api} api @param {AgentState[]} agents @param {Record<string, any>} hive */
  constructor(api, agents, hive) {
    this.api = api;
    this.agents = agents;
    this.hive = hive;
    this.refreshedAt = Date.now();
    this.list = find(".groups");
  }

  start() {
    colourSwitch(find(".theme-b"));
    document.title = "hyperhive";
    this.draw();
    this.warn(this.troubleWords());
    setInterval(() => document.hidden || this.refresh(), REFRESH_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    this.list.querySelector("a")?.focus();
  }

  async refresh() {
    try {
      [this.agents, this.hive] = await Promise.all([this.api.get("agents"), this.api.get("hive")]);
      this.refreshedAt = Date.now();
      this.warn(this.troubleWords());
      this.draw();
    } catch (error) {
      const why = error instanceof RequestError ? error.message : String(error);
      this.warn(`Not connected: ${why}. What is shown is from ${timeOfDay(this.refreshedAt)}.`);
    }
  }

  /** What is wrong with the hive, or "". This machine's agents work without it. */
  troubleWords() {
    const { trouble, age_s: age } = this.hive;
    if (!trouble) return "";
    const until = age === null ? "are not known" : `are as of ${timeOfDay(this.refreshedAt - age * 1000)}`;
    return `Agents of other machines ${until}: ${oneLine(textOf(trouble), 200)}`;
  }

  /** @param {string} words */
  warn(words) {
    const banner = find(".banner");
    banner.hidden = !words;
    setText(find(".words", banner), words);
  }

  draw() {
    const now = Date.now() / 1000;
    const names = this.agents.map((one) => one.agent).join("\n");
    if (this.list.dataset.names !== names) {
      this.list.dataset.names = names;
      this.list.replaceChildren(...this.agents.map(() => h("li")));
    }
    find(".empty").hidden = this.agents.length > 0;
    this.agents.forEach((one, index) => this.drawCard(this.list.children[index], one, now));
    const running = this.agents.filter((one) => one.running).length;
    const machines = new Set(this.agents.filter((one) => one.hive && one.running).map((one) => one.hive.machine)).size;
    const others = machines ? `, ${plural(machines, "other machine")}` : "";
    setText(find(".summary"), `${plural(this.agents.length, "agent")}, ${running} running${others}`);
  }

  /** @param {Element} item @param {AgentState} one @param {number} now */
  drawCard(item, one, now) {
    const status = statusBadge(one, "live", now);
    const { state, doing, elapsed } = turnState(one, now);
    const context = contextBadge(one);
    const today = one.today?.turns
      ? `${plural(one.today.turns, "turn")} today${one.today.cost_usd ? `, ${dollars(one.today.cost_usd)}` : ""}`
      : "no turns today";
    const rows = [
      ["turn", [doing || state || "–", state && state !== "idle" ? elapsed : ""].join(" ").trim()],
      ["model", oneLine(textOf(one.model), 40)],
      ["context", context.share === null ? context.words : `${context.words} of ${context.sizes.split(" / ")[1]}`],
      ["inbox", inboxWords(one)],
      ["", today],
    ];
    if (this.hive.url) {
      const { machine, report } = machineWords(one);
      rows.unshift(["machine", machine || "this one"]);
      rows.push(["report", report || "now"]);
    }
    const dot = h("span", { class: "dot", "aria-hidden": "true" });
    const countdown = status.countdown && ` ${status.countdown}`;
    const badge = h("span", `badge ${status.tone}`, dot, status.words, countdown);
    const facts = rows.flatMap(([name, value]) => [h("dt", "quiet", name), h("dd", "", value)]);
    const ends = (one.last_outcomes ?? []).map((/** @type {string} */ outcome) => {
      const [sign, tone] = outcomeSign(outcome);
      return h("span", { class: tone, title: outcome }, sign);
    });
    const link = item.querySelector("a") ?? h("a", { href: `${prefix()}/agents/${encodeURIComponent(one.agent)}/` }, one.agent);
    const card = [h("div", "card-head", badge), h("dl", "", ...facts), h("div", "signs", ...ends)];
    if (!link.isConnected) item.replaceChildren(h("h2", "", link), ...card);
    else item.replaceChildren(/** @type {Element} */ (link.parentElement), ...card);
  }
}

/** @param {AgentState} one */
function inboxWords(one) {
  const rest = ["held", "dead"].filter((state) => one[state]).map((state) => `${one[state]} ${state}`);
  return [`${one.unread} waiting`, ...rest].join(", ");
}

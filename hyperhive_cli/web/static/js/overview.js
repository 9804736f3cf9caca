/** The overview: every agent as a row of a triage list, those that need someone first. */

import { contextBadge, machineWords } from "./agent_state.js";
import { pageOf } from "./agents.js";
import { Api, prefix } from "./api.js";
import { Bell } from "./bell.js";
import { colourSwitch } from "./colours.js";
import { errorWords } from "./composer.js";
import { find, h, setText } from "./dom.js";
import { money, span, when } from "./figures.js";
import { Keyboard } from "./keys.js";
import { showInTab, tellNews } from "./notify.js";
import { Palette } from "./palette.js";
import { searchAddress } from "./search_view.js";
import { openPlace } from "./switcher.js";
import { count, mapping, number, oneLine, plural, textOf, timeOfDay } from "./text.js";
import { GROUPS } from "./triage.js";
import { isOk, outcomeSign } from "./vocabulary.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Agents } from "./agents.js" */
/** @import { Now } from "./now.js" */
/** @import { Group, Standing } from "./triage.js" */

export class Overview {
  /** @param {Agents} agents */
  constructor(agents) {
    this.agents = agents;
    this.list = find(".groups");
    this.bell = new Bell(agents);
    this.palette = new Palette(
      agents,
      () => this.actions(),
      async () => [],
      () => {},
      (words) => this.searching(words),
    );
    this.keyboard = new Keyboard({
      palette: () => this.palette.show(),
      next_needing: () => agents.needing.length && (location.href = pageOf(agents.needing[0].agent)),
    });
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.placed = ""; // the agents in their groups, as they stand on the page
  }

  start() {
    colourSwitch(find(".theme-b"));
    find(".find").hidden = false;
    find(".find").addEventListener("click", () => this.palette.show());
    tellNews(this.agents);
    this.agents.onChange(() => this.draw());
    this.agents.start();
    setInterval(() => document.hidden || this.draw(), 1000);
    this.list.addEventListener("pointerleave", () => this.draw());
    this.draw();
  }

  /** @returns {[string, import("./palette.js").Entry[]]} */
  actions() {
    return ["Actions", [{ words: "Show the keys", sign: "info", keys: ["?"], run: () => this.keyboard.showList() }]];
  }

  /** Search all agents: the page of one of them has the search. @param {string} words */
  searching(words) {
    const home = this.agents.triaged.find(({ state }) => state.stored && !state.hive);
    return home ? (/** @type {Event} */ event) => openPlace(searchAddress(home.agent, words, true), event) : null;
  }

  draw() {
    const all = this.agents.triaged;
    this.place(all);
    for (const one of all) this.rows.get(one.agent)?.draw(one);
    this.drawTally(all);
    this.warn();
    find(".empty").hidden = all.length > 0;
    find(".tally").hidden = !all.length;
  }

  /** Put each row into its group; rows under the pointer keep their places. @param {Standing[]} all */
  place(all) {
    const placed = all.map(({ agent, group }) => `${group} ${agent}`).join("\n");
    const isUnderPointer = this.list.matches(":hover") && matchMedia("(hover: hover)").matches;
    const isSameSet = all.length === this.rows.size && all.every(({ agent }) => this.rows.has(agent));
    if (placed === this.placed || (isUnderPointer && isSameSet)) return;
    this.placed = placed;
    const focused = document.activeElement;
    for (const { agent } of all)
      if (!this.rows.has(agent)) this.rows.set(agent, new Row(agent, () => this.agents.refresh()));
    for (const agent of this.rows.keys()) if (!all.some((one) => one.agent === agent)) this.rows.delete(agent);
    const groups = GROUPS.map(([group, title]) => ({ title, members: all.filter((one) => one.group === group) }));
    const shown = groups.filter(({ members }) => members.length);
    this.list.replaceChildren(...shown.flatMap(({ title, members }, index) => this.group(title, members, index === 0)));
    if (focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  /** @param {string} title @param {Standing[]} members @param {boolean} isFirst */
  group(title, members, isFirst) {
    const heading = h("h2", "group", title, h("span", "quiet num", String(members.length)));
    const columns = ["Last turns", "Today", ""].map((words) => h("span", "", words));
    const rows = members.map(({ agent }) => /** @type {Row} */ (this.rows.get(agent)).element);
    return [isFirst ? h("div", "ag-row heads", heading, ...columns) : heading, h("ul", "rows", ...rows)];
  }

  /** @param {Standing[]} all */
  drawTally(all) {
    const of = (/** @type {Group} */ wanted) => all.filter(({ group }) => group === wanted).length;
    const needing = of("needs");
    const running = of("running");
    const title = needing
      ? `${plural(needing, "agent")} ${needing === 1 ? "needs" : "need"} you`
      : running
        ? `${plural(running, "agent")} running`
        : plural(all.length, "agent");
    setText(find(".needing"), title);
    const counts = GROUPS.slice(needing ? 1 : 2).map(([group, , words]) => [of(group), words]);
    setText(
      find(".summary"),
      counts
        .filter(([figure]) => figure)
        .map(([figure, words]) => `${figure} ${words}`)
        .join(" · "),
    );
    const spent = all.reduce((sum, { state }) => sum + costOf(state), 0);
    const limits = all.map(({ state }) => number(state.budget?.today?.limit_usd) ?? 0);
    const limit = limits.every(Boolean) ? limits.reduce((sum, one) => sum + one, 0) : 0;
    const words = `${money(spent)} ${limit ? `of ${money(limit)} ` : ""}today`;
    const total = find(".tally .spent");
    if (total.textContent !== words)
      total.replaceChildren(h("b", "", money(spent)), h("span", "quiet", words.slice(money(spent).length)));
    const marks = all.map(({ now }) => now.mark);
    const mark = marks.find((one) => one === "failed" || one === "need") ?? (running ? "running" : "idle");
    showInTab(needing, "hyperhive", mark);
  }

  /** What is wrong with the server or the hive. This machine's agents work without the hive. */
  warn() {
    const { trouble, knownAt, hive } = this.agents;
    const banner = find(".banner");
    let words = "";
    if (trouble) {
      words = `Disconnected from the panel’s server: ${trouble}. What you see is from ${timeOfDay(knownAt)}.`;
    } else if (hive.trouble) {
      const until = hive.age_s === null ? "are not known" : `are as of ${timeOfDay(knownAt - hive.age_s * 1000)}`;
      words = `Agents of other machines ${until}: ${oneLine(textOf(hive.trouble), 200)}`;
    }
    banner.hidden = !words;
    setText(find(".words", banner), words);
  }
}

/** One agent's row. Its elements stay, so that the focus and the pointer do. */
class Row {
  /** @param {string} agent @param {() => void} changed */
  constructor(agent, changed) {
    this.api = new Api(`${prefix()}/agents/${encodeURIComponent(agent)}/api`);
    this.agent = agent;
    this.changed = changed;
    this.error = "";
    this.mark = h("span", { class: "st", "aria-hidden": "true" });
    this.model = h("span", "meta quiet num cut");
    this.words = h("span", "cut said");
    this.last = h("span", "last meta cut");
    this.strip = h("span", { class: "strip", role: "img" });
    this.cost = h("span", "cost num");
    this.actions = h("span", "do");
    const name = h("a", { class: "name cut", href: pageOf(agent) }, agent);
    const parts = [h("span", "who", name, this.model), h("span", "say", this.words, this.last)];
    this.element = h("li", "ag-row", this.mark, ...parts, h("span", "outs", this.strip), this.cost, this.actions);
    this.shown = { strip: "", cost: "", words: "", actions: "" };
  }

  /** @param {Standing} standing */
  draw({ state, now, group }) {
    this.element.classList.toggle("needs", group === "needs");
    this.mark.className = `st ${now.mark}`;
    const { machine } = machineWords(state);
    const context = contextBadge(state);
    const model = oneLine(textOf(state.model), 40).replace(/^claude-/u, "");
    const where = state.hive ? `on ${machine}` : "";
    setText(this.model, [model, context.share === null ? "" : context.words, where].filter(Boolean).join(" · "));
    this.once("words", `${now.title}\n${now.detail ?? ""}\n${now.elapsed ?? ""}\n${now.soft ?? ""}`, () =>
      this.drawWords(now, group),
    );
    setText(this.last, this.error || lastWords(state, now));
    this.last.classList.toggle("bad", Boolean(this.error));
    this.once("strip", JSON.stringify(state.last_outcomes), () => this.drawStrip(state.last_outcomes ?? []));
    const most = number(mapping(state.budget?.today).limit_usd);
    this.once("cost", `${costOf(state)} ${most}`, () => this.drawCost(costOf(state), most));
    this.once("actions", JSON.stringify([now.actions, state.unread, state.hive, group]), () =>
      this.drawActions(state, now, group),
    );
  }

  /** Draw a part only if it has changed. @param {"strip" | "cost" | "words" | "actions"} part @param {string} key @param {() => void} draw */
  once(part, key, draw) {
    if (this.shown[part] === key) return;
    this.shown[part] = key;
    draw();
  }

  /** @param {Now} now @param {Group} group */
  drawWords(now, group) {
    const title = h(group === "running" ? "b" : "span", "", now.title);
    const more = [now.soft, now.elapsed].filter(Boolean).map((words) => h("span", "quiet num", ` ${words}`));
    this.words.replaceChildren(title, now.detail ? " " : "", now.detail ? h("code", "", now.detail) : "", ...more);
  }

  /** @param {string[]} outcomes */
  drawStrip(outcomes) {
    const failed = outcomes.filter((one) => outcomeSign(one)[1] === "bad").length;
    const ok = outcomes.filter(isOk).length;
    const words = outcomes.length
      ? `${ok} ok, ${failed} failed of the last ${plural(outcomes.length, "turn")}`
      : "No turns yet";
    this.strip.setAttribute("aria-label", words);
    this.strip.title = words;
    const classOf = (/** @type {string} */ one) => ({ bad: "b", warn: "w", quiet: "n" })[outcomeSign(one)[1]] ?? "";
    this.strip.replaceChildren(...outcomes.map((one) => h("i", classOf(one))));
  }

  /** @param {number} cost @param {number | null} most */
  drawCost(cost, most) {
    const share = most ? Math.min(1, cost / most) : 0;
    const meter = h(
      "span",
      { class: `meter ${share >= 1 ? "full" : share >= 0.8 ? "warm" : ""}`.trim(), "aria-hidden": "true" },
      h("i"),
    );
    find("i", meter).style.width = `${Math.round(share * 100)}%`;
    this.cost.replaceChildren(
      h("b", "", money(cost)),
      most ? h("span", "quiet", ` of ${money(most)}`) : "",
      most ? meter : "",
    );
  }

  /** @param {AgentState} state @param {Now} now @param {Group} group */
  drawActions(state, now, group) {
    const actions = state.hive
      ? []
      : (now.actions ?? []).filter(({ verb }) => verb !== "cancel" && verb !== "raise_other");
    const waits = count(state.unread);
    const buttons = actions.map((action) => {
      const look = group === "needs" ? action.look : "";
      const attributes = {
        type: "button",
        class: `btn small ${look}`.trim(),
        "aria-label": `${action.label}: ${this.agent}`,
      };
      return h("button", { ...attributes, onclick: () => this.act(action) }, action.label);
    });
    const words = h("span", "meta quiet num", waits ? `${waits} waiting` : "");
    this.actions.replaceChildren(...(buttons.length ? buttons : waits ? [words] : []));
  }

  /** @param {import("./now.js").Action} action */
  async act({ verb, amount }) {
    if (verb === "model") return void (location.href = pageOf(this.agent));
    try {
      if (verb === "raise") await this.api.post("budget/raise", { amount });
      else await this.api.post(verb);
      this.error = "";
      if (verb === "login") location.href = pageOf(this.agent);
    } catch (error) {
      this.error = errorWords(error);
    }
    this.changed();
  }
}

/** @param {AgentState} state */
function costOf(state) {
  return number(state.budget?.today?.cost_usd) ?? number(state.today?.cost_usd) ?? 0;
}

/** @param {AgentState} state @param {Now} now */
function lastWords(state, now) {
  const why = now.hint && now.hint !== now.title ? now.hint : "";
  const turn = mapping(state.last_turn);
  const ended = number(turn.started) === null ? null : turn.started + count(turn.duration_ms);
  const outcome = oneLine(textOf(turn.outcome).replaceAll("_", " "), 40);
  const ago = ended === null ? "" : lasted(ended, Date.now());
  const last = ended === null ? "" : `Turn ${turn.turn_id}: ${outcome}, ${ago}`;
  return [why, now.facts, last].filter(Boolean).join(" · ");
}

/** @param {number} ended Unix ms @param {number} now */
function lasted(ended, now) {
  const seconds = (now - ended) / 1000;
  return seconds < 3600 ? `${span(seconds)} ago` : when(ended, now);
}

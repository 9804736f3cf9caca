/** What can be done with an agent: by the now bar, the header, the palette and the keys. Each act exists once, here. */

import { pageOf } from "./agents.js";
import { askAmount, askModel } from "./dialogs.js";
import { find } from "./dom.js";
import { FORMATS, saveTranscript } from "./downloads.js";
import { focusedBlock, goFailure, goTurn } from "./feed_keys.js";
import { isInTurn } from "./now.js";
import { searchAddress } from "./search_view.js";
import { isApart, openPlace } from "./switcher.js";
import { number, string, tokens } from "./text.js";

/** @import { Panel } from "./panel.js" */

export class PanelActions {
  /** @param {Panel} panel */
  constructor(panel) {
    this.panel = panel;
  }

  /** What the now bar offers. @param {import("./now.js").Action} action */
  act({ verb, amount }) {
    if (verb === "reconnect") return this.panel.client.retryNow();
    if (verb === "login") return this.panel.login.start();
    if (verb === "model") return this.chooseModel();
    if (verb === "raise") return this.raise(amount ?? 0);
    if (verb === "raise_other") return this.chooseBudget();
    return this.change(verb);
  }

  /** @param {"cancel" | "pause" | "resume"} verb */
  change(verb) {
    return this.panel.composer.attempt(async () => {
      await this.panel.api.post(verb);
      return { cancel: "Turn cancelled", pause: "Paused", resume: "Resumed" }[verb];
    });
  }

  /** @param {number} amount */
  raise(amount) {
    return this.panel.composer.attempt(async () => {
      await this.panel.api.post("budget/raise", { amount });
      return "Budget raised";
    });
  }

  /** Save the transcript as a file. @param {string} format */
  save(format) {
    return this.panel.composer.attempt(async () => {
      await saveTranscript(this.panel.api, this.panel.agent, format);
      return "Transcript saved";
    });
  }

  chooseBudget() {
    const limit = number(this.panel.state.budget?.today?.limit_usd) ?? 0;
    askAmount(limit, async (amount) => {
      await this.panel.api.post("budget/raise", { amount });
    });
  }

  chooseModel() {
    if (this.panel.state.hive) return; // it is set on the agent's own machine
    askModel(string(this.panel.state.model), async (model) => {
      await this.panel.api.post("model", { model });
    });
  }

  /** What a command of the page itself opens. @param {import("./commands.js").Local} what */
  openLocal(what) {
    if (what === "login") this.panel.login.start();
    else if (what === "help") this.panel.keyboard.showList();
    else this.chooseBudget();
  }

  /** Open the feed at a turn; its address can be kept and sent to others. @param {number} turn */
  toTurn(turn) {
    history.replaceState(null, "", `${pageOf(this.panel.agent)}/turns/${turn}`);
    this.panel.openPart("talk");
    this.panel.transcript
      .toTurn(turn)
      .catch(() => this.panel.composer.say(`Turn ${turn} is not in the history`, "bad"));
  }

  /** Search the history of the agent. @param {string} [words] */
  search(words) {
    this.panel.openPart("talk");
    this.panel.search.show(words);
  }

  /** Search for what was typed elsewhere, with Ctrl in a new tab. @param {string} words @param {Event} event */
  searchFor(words, event) {
    if (isApart(event)) openPlace(searchAddress(this.panel.agent, words), event);
    else this.search(words);
  }

  /** Open the feed at a place that was found. @param {import("./hits.js").Hit} hit */
  toHit({ seq, turn }) {
    if (turn !== null) history.replaceState(null, "", `${pageOf(this.panel.agent)}/turns/${turn}`);
    this.panel.transcript
      .toEvent(seq, turn)
      .catch(() => this.panel.composer.say(`Event ${seq} is not in the history`, "bad"));
  }

  /** The palette's first group. @returns {[string, import("./palette.js").Entry[]]} */
  entries() {
    const { state, agent } = this.panel;
    const can = Boolean(state.running) && state.capabilities?.steer !== false;
    const context = [state.context_tokens, state.context_window].map((size) => number(size));
    const all = /** @type {[boolean, import("./palette.js").Entry][]} */ ([
      [
        can && !state.paused,
        {
          words: "Pause",
          more: "Start no turn until you resume",
          sign: "pause",
          keys: ["G", "P"],
          run: () => this.change("pause"),
        },
      ],
      [
        can && state.paused,
        {
          words: "Resume",
          more: "Start turns again",
          sign: "play",
          keys: ["G", "P"],
          run: () => this.change("resume"),
        },
      ],
      [
        can && isInTurn(state),
        {
          words: "Cancel the turn",
          more: "Asks first",
          sign: "stop",
          keys: ["G", "X"],
          run: () => this.panel.nowBar.ask(),
        },
      ],
      [
        can,
        {
          words: "Compact the context",
          more: context.every(Boolean) ? context.map(tokens).join(" of ") : "",
          sign: "squeeze",
          run: () => this.panel.composer.runCommand("/compact"),
        },
      ],
      [
        can,
        {
          words: "Start a new session",
          more: "Forget the conversation, keep the files",
          sign: "retry",
          run: () => this.panel.composer.runCommand("/new"),
        },
      ],
      [
        !state.hive,
        { words: "Change the model", more: string(state.model), sign: "spark", run: () => this.chooseModel() },
      ],
      [
        can && Boolean(state.budget?.today?.limit_usd),
        { words: "Raise today’s budget", sign: "up", run: () => this.chooseBudget() },
      ],
      [
        Boolean(state.stored) && !state.hive,
        { words: "Search the history", sign: "search", keys: ["G", "S"], run: () => this.search() },
      ],
      [
        true,
        { words: "Copy a link to this page", sign: "link", run: () => navigator.clipboard?.writeText(location.href) },
      ],
      ...FORMATS.map(([format, words]) => [
        Boolean(state.stored),
        { words: `Save the transcript as ${words}`, sign: "down", run: () => this.save(format) },
      ]),
      [true, { words: "Show the keys", sign: "info", keys: ["?"], run: () => this.panel.keyboard.showList() }],
    ]);
    return [`Actions for ${agent}`, all.filter(([isThere]) => isThere).map(([, entry]) => entry)];
  }

  /** What a key does → how. @returns {Record<string, () => void>} */
  shortcuts() {
    const feed = find(".feed");
    return {
      palette: () => this.panel.palette.show(),
      search: () => this.search(),
      next_needing: () => {
        const others = this.panel.agents.needing.filter(({ agent }) => agent !== this.panel.agent);
        if (others.length) location.href = pageOf(others[0].agent);
      },
      all_agents: () => (location.href = pageOf("")),
      pause: () => this.change(this.panel.state.paused ? "resume" : "pause"),
      cancel: () => isInTurn(this.panel.state) && this.panel.nowBar.ask(),
      next_turn: () => goTurn(feed, 1),
      previous_turn: () => goTurn(feed, -1),
      next_failure: () => goFailure(feed, 1),
      previous_failure: () => goFailure(feed, -1),
      copy: () => navigator.clipboard?.writeText(focusedBlock(feed)),
      end: () => this.panel.transcript.toBottom(),
      message: () => this.panel.composer.focus(),
      command: () => this.panel.composer.focus("/"),
      schedule: () => this.panel.composer.later.show(),
    };
  }
}

/**
 * What the agent does now, in words: the one place of the page that says it. A shape, a word and then a colour, since
 * when, and the one thing that you can do about it. Pure.
 */

import { money, span, when } from "./figures.js";
import { clock, count, mapping, number, oneLine, plural, string, textOf } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Connection } from "./connection.js" */

/**
 * @typedef {"running" | "idle" | "wait" | "need" | "paused" | "stopped" | "failed"} Mark a class of `.st`
 * @typedef {"cancel" | "resume" | "reconnect" | "login" | "raise" | "raise_other" | "model"} Verb
 * @typedef {{verb: Verb, label: string, look: "" | "honeyed" | "danger", amount?: number}} Action
 * @typedef {{mark: Mark, title: string, wash?: "need" | "failed" | "stale", elapsed?: string, soft?: string,
 *   detail?: string, facts?: string, hint?: string, actions?: Action[]}} Now `elapsed` ticks; `detail` is a command;
 *   `soft` says more of the state, `facts` are quiet
 */

const QUIET_MS = 700; // a shorter loss of the connection is not shown
const RAISES_BY = 1.5;

/** @type {Action} */
const CANCEL = { verb: "cancel", label: "Cancel turn", look: "danger" };
/** @param {string} label @returns {Action} */
const resume = (label) => ({ verb: "resume", label, look: "" });

/** The connection's own words for a plain loss; any other reason is worth a title of its own. */
const PLAIN_LOSS = ["the connection was lost", "the server cannot be reached", "the server ended the stream", ""];

/**
 * @param {AgentState} state @param {Connection | null} connection null: not of this agent alone @param {number} now Unix ms
 * @returns {Now}
 */
export function nowOf(state, connection, now) {
  const lost = connection && lossOf(connection, now);
  if (lost) return lost;
  if (!("running" in state)) return { mark: "wait", title: "Connecting" };
  if (state.hive && state.capabilities?.send === false) {
    return { mark: "wait", title: "The hive cannot be reached", wash: "stale", soft: "trying again" };
  }
  if (!state.running) return stopped(state, now);
  const status = string(state.status);
  const found = Object.hasOwn(STATES, status) ? STATES[status](state, now) : waiting(state, now);
  return state.capabilities?.steer === false ? { ...found, actions: [] } : found; // it is controlled elsewhere
}

/** What is wrong with the connection to the server, null if nothing is. @param {Connection} connection @param {number} now @returns {Now | null} */
function lossOf(connection, now) {
  const { phase, reason, lostAt, retryAt, liveAt } = connection;
  /** @type {Action} */
  const retry = { verb: "reconnect", label: "Try now", look: "" };
  if (phase === "refused") {
    const facts = "Open the address that hyperhive web printed";
    return { mark: "failed", title: "No access", wash: "failed", soft: reason, facts, actions: [retry] };
  }
  if (phase === "gone") {
    return { mark: "stopped", title: "Nothing to show", wash: "stale", soft: reason, actions: [retry] };
  }
  if (!lostAt || phase === "live" || now - lostAt < QUIET_MS) return null;
  const left = Math.max(0, Math.ceil((retryAt - now) / 1000));
  const soft = phase === "reconnecting" && left ? `trying again in ${left} s` : "trying again";
  const facts = liveAt ? `What you see is from ${when(lostAt, now)}` : "";
  const title = PLAIN_LOSS.includes(reason) ? "Disconnected from the panel’s server" : capital(reason);
  return { mark: "wait", title, wash: "stale", soft, facts, actions: phase === "reconnecting" ? [retry] : [] };
}

/** What the agent's page says if no harness runs. @param {AgentState} state @param {number} now @returns {Now} */
function stopped(state, now) {
  const at = number(state.last_event?.ts) ?? number(state.last_turn?.started);
  const since = at === null ? "" : when(at, now);
  const soft = /^\d/u.test(since) && since.includes(":") ? `today, ${since}` : since;
  return { mark: "stopped", title: "Stopped", soft, facts: "Messages are kept and run at the next start" };
}

/** Status → what the bar says. @type {Record<string, (state: AgentState, now: number) => Now>} */
const STATES = {
  online: (state, now) => (isInTurn(state) ? running(state, now) : idle(state, now)),
  paused: (state, now) => ({
    mark: "paused",
    title: "Paused",
    soft: number(state.paused_since) === null ? "" : `since ${when(state.paused_since * 1000, now)}`,
    facts: waitingWords(state, "and run when you resume"),
    ...turnBelow(state),
  }),
  retrying: (state, now) => {
    const [, tries, why] = /^(attempt \d+ of \d+): (.*)$/su.exec(string(state.why)) ?? ["", "", whyOf(state)];
    const left = leftOf(state, now);
    const soft = [tries.replace("attempt", "retry"), left && `in ${clock(left)}`].filter(Boolean).join(" ");
    return {
      mark: "wait",
      title: capital(oneLine(why, 80)) || "Retrying",
      soft,
      facts: state.turn ? `Turn ${state.turn} is kept` : "The turn is kept",
      actions: [CANCEL],
    };
  },
  backing_off: (state, now) => {
    const left = leftOf(state, now);
    const soft = left ? `trying again in ${clock(left)}` : "trying again";
    const title = capital(oneLine(whyOf(state), 80)) || "The last turn failed";
    return { mark: "wait", title, soft, facts: waitingWords(state), actions: [resume("Try now")] };
  },
  rate_limited: (state, now) => limited(state, now, "Rate limited"),
  waits_for_account: (state, now) => limited(state, now, "Waits for the account"),
  over_budget: (state) => {
    const { cost_usd: spent, limit_usd: limit } = mapping(state.budget?.today);
    const soft = number(limit) === null ? "" : `${money(spent)} of ${money(limit)}`;
    const raised = raisedLimit(number(limit) ?? 0);
    /** @type {Action[]} */
    const actions = [
      { verb: "raise", label: `Raise to ${money(raised)}`, look: "honeyed", amount: raised },
      { verb: "raise_other", label: "Other…", look: "" },
    ];
    return {
      mark: "need",
      title: "Today’s budget is used up",
      wash: "need",
      soft,
      facts: "Goes on at midnight",
      actions: number(limit) === null ? [resume("Go on")] : actions,
    };
  },
  needs_login_idle: (state) => ({
    mark: "need",
    title: "Needs login",
    wash: "need",
    facts: waitingWords(state, "and run once you log in"),
    actions: [{ verb: "login", label: "Log in", look: "honeyed" }],
  }),
  needs_login_in_progress: (state) => ({ mark: "need", title: "Waiting for your login", facts: waitingWords(state) }),
  bad_model: (state) => ({
    mark: "failed",
    title: "Failed: the model is not available",
    wash: "failed",
    soft: oneLine(textOf(state.model), 40),
    hint: whyOf(state),
    actions: [{ verb: "model", label: "Choose a model", look: "" }],
  }),
  failed: (state) => failed(whyOf(state) || "the last turn failed", [resume("Try again")]),
  inbox_unavailable: (state) => failed(whyOf(state) || "the inbox cannot be used", []),
  unreachable: (state) => failed(whyOf(state) || "the harness does not answer", []),
  standby: () => ({ mark: "stopped", title: "Standby", facts: "Another machine of the hive runs the agent" }),
};

/** @param {string} why @param {Action[]} actions @returns {Now} */
function failed(why, actions) {
  return { mark: "failed", title: `Failed: ${why}`, wash: "failed", actions };
}

/** A status that this page does not know. @param {AgentState} state @param {number} now @returns {Now} */
function waiting(state, now) {
  const left = leftOf(state, now);
  const title = capital(string(state.status).replaceAll("_", " ")) || "Unknown";
  return { mark: "wait", title, soft: left ? `${span(left)} left` : "", facts: whyOf(state) };
}

/** @param {AgentState} state @param {number} now @param {string} title @returns {Now} */
function limited(state, now, title) {
  const left = leftOf(state, now);
  const until = left ? ` until ${when(Number(state.waits_until) * 1000, now)}` : "";
  return {
    mark: "wait",
    title: title + until,
    soft: left ? span(left) : "",
    facts: waitingWords(state),
    hint: whyOf(state),
    actions: [isInTurn(state) ? CANCEL : resume("Try now")],
  };
}

/** @param {AgentState} state @param {number} now @returns {Now} */
function running(state, now) {
  const activity = mapping(state.activity);
  const since = number(state.since_unix);
  const began = number(activity.since) ?? (since === null ? null : since * 1000);
  const elapsed = began === null ? "" : clock(Math.max(0, (now - began) / 1000));
  const more = count(activity.tools_running) > 1 ? ` +${count(activity.tools_running) - 1}` : "";
  const doing = string(activity.tool) || DOING[string(activity.doing)] || capital(string(activity.doing));
  const title = state.state === "compacting" ? "Compacting the context" : doing + more || "Thinking";
  const detail = state.state === "compacting" ? "" : oneLine(textOf(activity.argument), 200);
  return { mark: "running", title, elapsed, detail, facts: turnFacts(state, now), actions: [CANCEL] };
}

/** What claude does when it calls no tool. @type {Record<string, string>} */
const DOING = { thinking: "Thinking", writing: "Writing", compacting: "Compacting the context" };

/** @param {AgentState} state @param {number} now */
function turnFacts(state, now) {
  const since = number(state.since_unix);
  const spent = number(state.budget?.turn?.cost_usd);
  const turn = count(state.turn);
  return [
    turn ? `Turn ${turn}` : "This turn",
    since === null ? "" : clock(Math.max(0, now / 1000 - since)),
    spent && money(spent),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @param {AgentState} state @param {number} now @returns {Now} */
function idle(state, now) {
  const since = number(state.since_unix);
  const due = number(state.next_due);
  const lasts = since === null ? 0 : now / 1000 - since;
  const isNew = !state.last_turn;
  const soft = !isNew && lasts >= 60 ? span(lasts) : "";
  const facts = isNew ? "No turn yet" : nextWords(state, due, now);
  return { mark: "idle", title: "Idle", soft, facts };
}

/** Say what runs next: a message that waits for its time, or a schedule's. @param {AgentState} state @param {number | null} due @param {number} now */
function nextWords(state, due, now) {
  const isAhead = (/** @type {number | null} */ ms) => ms !== null && ms > now;
  const coming = (Array.isArray(state.schedules) ? state.schedules : []).filter((one) => isAhead(number(one.next)));
  const [first] = coming.toSorted((one, other) => count(one.next) - count(other.next));
  if (first && !(isAhead(due) && count(due) < first.next)) {
    return `Next: ${oneLine(textOf(first.name), 40)}, ${when(first.next, now)}`;
  }
  return isAhead(due) ? `Next at ${when(count(due), now)}` : "";
}

/** While a pause or a wait begins, a turn may still run: it can be cancelled. @param {AgentState} state @returns {Partial<Now>} */
function turnBelow(state) {
  return isInTurn(state) ? { soft: "after this turn", actions: [CANCEL] } : {};
}

/** @param {AgentState} state */
export function isInTurn(state) {
  return Boolean(state.running) && Boolean(state.state) && state.state !== "idle";
}

/** @param {AgentState} state @param {string} [then] */
function waitingWords(state, then = "") {
  const waits = count(state.unread);
  if (!waits) return "";
  return `${plural(waits, "message")} ${waits === 1 ? "waits" : "wait"}${then && ` ${waits === 1 ? then.replace("run", "runs") : then}`}`;
}

/** @param {AgentState} state */
function whyOf(state) {
  return oneLine(textOf(state.why), 300);
}

/** Return the seconds until a wait ends by itself, 0 if that is not known. @param {AgentState} state @param {number} now */
function leftOf(state, now) {
  return Math.max(0, Math.ceil((number(state.waits_until) ?? 0) - now / 1000));
}

/** Half as much again, in a round figure. @param {number} limit */
function raisedLimit(limit) {
  const raised = limit * RAISES_BY;
  const step = 10 ** Math.max(-2, Math.floor(Math.log10(raised)) - 1);
  return Number((Math.ceil(raised / step - 1e-9) * step).toFixed(2));
}

/** @param {string} words */
function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

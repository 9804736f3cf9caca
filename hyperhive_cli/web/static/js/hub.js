/**
 * The state machine of the browser's one stream, which all its tabs share. Pure: `stepHub(hub, input)` returns the next hub
 * and the effects to carry out. `hub_runner.js` carries them out, in a worker or in the tab that leads.
 *
 *   idle      no tab wants anything
 *   opening   a request for the stream was sent
 *   open      the stream's first event has come
 *   waiting   lost: waits, longer each time, before it tries again
 *
 * A tab joins an agent after the number of the newest record that it shows. A stream cannot be extended, so the hub opens
 * a new one when a tab has joined. For each agent it starts at the smallest number that one of the tabs needs; the others
 * drop what they have. A tab is sent nothing of a stream that was opened before it joined: the records of that stream may
 * not continue what the tab shows. "*" is the overview of all agents, which has no numbers.
 */

import { STEADY_MS, retryAfter } from "./connection.js";

export const OVERVIEW = "*";
export const JOIN_MS = 10; // tabs that join within this time share a request
export const LEAVE_MS = 2000; // before the stream is opened without an agent that no tab wants: a reload wants it again

/**
 * @typedef {{since: number | null, ts: number | null}} Position
 * @typedef {{tab: string, agent: string, wants: Position | null}} Member `wants`: null once a stream was opened for it
 * @typedef {{phase: "idle" | "opening" | "open" | "waiting", members: Member[], at: Record<string, Position>,
 *   attempt: number, openAt: number, hasOverview: boolean}} Hub `at`: how far the stream is, for each of its agents;
 *   `hasOverview`: the stream has told the states of all agents, and tells now what changes
 * @typedef {{event: string, data: any}} StreamEvent
 * @typedef {{type: "join", tab: string, agent: string, since: number | null, ts: number | null} |
 *   {type: "leave", tab: string, agent: string} | {type: "tab_gone", tab: string} | {type: "open"} | {type: "retry"} |
 *   {type: "events", events: StreamEvent[], now: number} | {type: "lost", reason: string, now: number} |
 *   {type: "refused", reason: string}} HubInput
 * @typedef {{do: "open", agents: string} | {do: "open_in", ms: number} | {do: "close"} |
 *   {do: "tell", members: Member[], message: Record<string, any>}} HubEffect
 * @typedef {[Hub, HubEffect[]]} HubStep
 */

/** @returns {Hub} */
export function initialHub() {
  return { phase: "idle", members: [], at: {}, attempt: 0, openAt: 0, hasOverview: false };
}

/** @param {Hub} was @param {HubInput} input @returns {HubStep} */
export function stepHub(was, input) {
  switch (input.type) {
    case "join":
      return addMember(was, input);
    case "leave":
      return dropMembers(was, ({ tab, agent }) => tab === input.tab && agent === input.agent);
    case "tab_gone":
      return dropMembers(was, ({ tab }) => tab === input.tab);
    case "open":
      return openStream(was);
    case "retry":
      return was.phase === "waiting" ? openStream(was) : [was, []];
    case "events":
      return takeEvents(was, input.events, input.now);
    case "lost":
      return loseStream(was, input.reason, input.now);
    case "refused":
      return [initialHub(), [{ do: "close" }, ...tell(was.members, { type: "refused", reason: input.reason })]];
    default:
      return [was, []];
  }
}

/** @param {Hub} was @param {{tab: string, agent: string} & Position} wanted @returns {HubStep} */
function addMember(was, { tab, agent, since, ts }) {
  const others = was.members.filter((one) => one.tab !== tab || one.agent !== agent);
  const members = [...others, { tab, agent, wants: { since, ts } }];
  return [{ ...was, members }, [{ do: "open_in", ms: JOIN_MS }]];
}

/** @param {Hub} was @param {(member: Member) => boolean} isLeaving @returns {HubStep} */
function dropMembers(was, isLeaving) {
  const members = was.members.filter((one) => !isLeaving(one));
  if (members.length === was.members.length) return [was, []];
  if (!members.length) return [initialHub(), [{ do: "close" }]];
  const hasUnwanted = Object.keys(was.at).some((agent) => members.every((one) => one.agent !== agent));
  const isSoon = members.some(({ wants }) => wants) || was.phase === "waiting"; // it will be opened anyway
  return [{ ...was, members }, hasUnwanted && !isSoon ? [{ do: "open_in", ms: LEAVE_MS }] : []];
}

/** @param {Hub} was @returns {HubStep} */
function openStream(was) {
  if (!was.members.length) return [was, []];
  /** @type {Record<string, Position>} */
  const at = {};
  for (const { agent, wants } of was.members) at[agent] = earlier(at[agent], wants ?? was.at[agent]);
  const agents = Object.entries(at).map(([agent, { since, ts }]) =>
    [agent, ...[since, ts].filter((number) => number !== null)].join(":"),
  );
  const members = was.members.map((one) => ({ ...one, wants: null }));
  return [{ ...was, members, at, phase: "opening", hasOverview: false }, [{ do: "open", agents: agents.join(",") }]];
}

/**
 * Return where two tabs can go on together. If they have different events of one number, the history was replaced for one
 * of them: no event has the time 0, so that the stream says `reset` to both.
 * @param {Position | undefined} one @param {Position} other @returns {Position}
 */
function earlier(one, other) {
  if (!one || (other.since ?? 0) < (one.since ?? 0)) return other;
  if (one.since !== other.since || one.ts === other.ts || other.ts === null) return one;
  return one.ts === null ? other : { since: one.since, ts: 0 };
}

/** @param {Hub} was @param {StreamEvent[]} events @param {number} now @returns {HubStep} */
function takeEvents(was, events, now) {
  if (was.phase !== "opening" && was.phase !== "open") return [was, []];
  /** @type {Hub} */
  let next = { ...was, phase: "open", openAt: was.phase === "open" ? was.openAt : now, at: { ...was.at } };
  /** @type {HubEffect[]} */
  const effects = [];
  for (const { event, data } of events) {
    const agent = event === "overview" ? OVERVIEW : data.agent;
    const message = toMessage(event, data, now);
    if (message?.type === "overview") {
      message.isWhole = !next.hasOverview;
      next.hasOverview = true;
    }
    if (message) effects.push(...tell(fedMembers(next, agent), { ...message, agent }));
    const newest = event === "records" && data.events.findLast((/** @type {any} */ one) => one.seq !== null);
    if (newest) next.at[agent] = { since: newest.seq, ts: newest.ts };
    if (event === "reset") next.at[agent] = { since: data.since, ts: null };
    if (event === "gone") next = { ...next, members: next.members.filter((one) => one.agent !== agent || one.wants) };
  }
  return [next, effects];
}

/**
 * Return what a tab is told of an event of the stream: an input of its connection, `inbox` or `overview`.
 * @param {string} event @param {any} data @param {number} now @returns {Record<string, any> | null}
 */
function toMessage(event, data, now) {
  switch (event) {
    case "records":
      return { type: "records", records: data.events };
    case "snapshot":
      return { type: "snapshot", snapshot: data, now };
    case "state":
      return { type: "changed", snapshot: data };
    case "reset":
      return { type: "reset", since: data.since };
    case "gone":
      return { type: "gone", reason: data.error };
    case "inbox":
    case "overview":
      return { type: event, data };
    default:
      return null; // of a newer server
  }
}

/** @param {Hub} was @param {string} reason @param {number} now @returns {HubStep} */
function loseStream(was, reason, now) {
  if (was.phase !== "opening" && was.phase !== "open") return [was, []];
  const wasSteady = was.phase === "open" && now - was.openAt >= STEADY_MS;
  const losses = wasSteady ? 0 : was.attempt;
  const ms = retryAfter(losses) * 1000;
  const message = { type: "lost", reason, now, retryAt: now + ms, attempt: losses + 1 };
  return [
    { ...was, phase: "waiting", attempt: losses + 1 },
    [{ do: "close" }, { do: "open_in", ms }, ...tell(was.members, message)],
  ];
}

/** @param {Hub} hub @param {string} agent */
function fedMembers({ members }, agent) {
  return members.filter((one) => !one.wants && one.agent === agent);
}

/** @param {Member[]} members @param {Record<string, any>} message @returns {HubEffect[]} */
function tell(members, message) {
  return members.length ? [{ do: "tell", members, message }] : [];
}

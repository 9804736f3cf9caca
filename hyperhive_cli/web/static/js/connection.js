/**
 * The state machine of the page's connection to one agent. Pure: `step(connection, input)` gives the next
 * connection and what shall be done; nothing else decides what is read, shown or dropped.
 *
 *   connecting    asks for the agent's state
 *   replaying     reads the history in pages, up to the number that the state named
 *   opening       waits for the stream's snapshot
 *   live          events come as they happen
 *   reconnecting  lost; waits, longer each time, then begins at `connecting` again
 *   refused       the server does not know the token; only a person can go on
 *   gone          the server knows no such agent, or not any more; the same
 *
 * `last` is the number of the newest event shown. An event with a number up to it was shown already, so that
 * whatever is read twice (a page and the stream, before and after a restart) is shown once. Numbers are the
 * rows' own and go on over restarts of the harness. A harness without a history counts from 1 in each life:
 * another `boot` then means that everything begins afresh. Where the history was replaced by an older one, the number
 * is nobody's, or another event's, whose time (`ts`) is not the same: the server finds out, for both are given to it,
 * and the stream then says so, begins afresh, and gives all that there is.
 * The stream re-reads by itself what this page was too slow for. Where the wanted rows are gone it says `reset`
 * and where it goes on: behind what is shown, and the gap is told, never passed over; before it, and all begins afresh.
 */

export const HISTORY_ROWS = 2000; // what an agent's history keeps
export const PAGE_ROWS = 500;
export const RETRY_S = [0.5, 1, 2, 4, 8, 15];
export const STEADY_MS = 5000; // live for so long, a loss is a new one and not the next in a row

/**
 * @typedef {"connecting" | "replaying" | "opening" | "live" | "reconnecting" | "refused" | "gone"} Phase
 * @typedef {Record<string, any>} Snapshot of `status --json`, with `seq` and `boot`
 * @typedef {Record<string, any> & {seq: number | null}} LiveEvent
 * @typedef {{phase: Phase, last: number, ts: number | null, target: number, boot: string | null, stored: boolean,
 *   known: boolean, attempt: number, liveAt: number, retryAt: number, lostAt: number, reason: string}} Connection
 *   `ts`: when event `last` happened (null: not known); `known`: something was shown before; `attempt`: losses since it was last steady; times in Unix ms
 * @typedef {{type: "start"} | {type: "retry"} | {type: "state", snapshot: Snapshot} |
 *   {type: "page", events: LiveEvent[], reset?: boolean} | {type: "snapshot", snapshot: Snapshot, now: number} |
 *   {type: "events", events: LiveEvent[]} | {type: "changed", snapshot: Snapshot} |
 *   {type: "reset", since: number} | {type: "lost", reason: string, now: number} | {type: "refused" | "gone", reason: string}} Input
 * @typedef {{do: "ask_state"} | {do: "ask_page" | "open", since: number, ts: number | null} | {do: "close"} |
 *   {do: "retry_in", seconds: number} | {do: "know", snapshot: Snapshot} | {do: "begin_afresh"} |
 *   {do: "show", events: LiveEvent[]} | {do: "gap", missing: number}} Effect
 * @typedef {[Connection, Effect[]]} Step
 */

/** @returns {Connection} */
export function unconnected() {
  return {
    phase: "connecting",
    last: 0,
    ts: null,
    target: 0,
    boot: null,
    stored: true,
    known: false,
    attempt: 0,
    liveAt: 0,
    retryAt: 0,
    lostAt: 0,
    reason: "",
  };
}

/** @param {Connection} was @param {Input} input @returns {Step} */
export function step(was, input) {
  switch (input.type) {
    case "start":
    case "retry":
      return [{ ...was, phase: "connecting", reason: "" }, [{ do: "ask_state" }]];
    case "state":
      return was.phase === "connecting" ? replay(was, input.snapshot) : [was, []];
    case "page":
      return was.phase === "replaying" ? page(was, input.events, input.reset === true) : [was, []];
    case "snapshot":
      return was.phase === "opening" ? live(was, input.snapshot, input.now) : [was, []];
    case "events":
      return was.phase === "live" || was.phase === "opening" ? take(was, input.events) : [was, []];
    case "changed":
      return was.phase === "live" ? changed(was, input.snapshot) : [was, []];
    case "reset":
      return reset(was, input.since);
    case "lost":
      return isOver(was) ? [was, []] : lost(was, input.reason, input.now);
    case "refused":
    case "gone":
      return [{ ...was, phase: input.type, reason: input.reason }, [{ do: "close" }]];
    default:
      return [was, []];
  }
}

/** Whether only a person can go on. @param {Connection} connection */
export function isOver({ phase }) {
  return phase === "refused" || phase === "gone";
}

/**
 * Whether what is shown belongs to another life's numbers than this snapshot.
 * @param {Connection} was @param {Snapshot} snapshot
 */
function isOtherLife(was, snapshot) {
  const isAnother = Boolean(snapshot.boot) && Boolean(was.boot) && snapshot.boot !== was.boot;
  return was.known && isAnother && !(snapshot.stored !== false && was.stored);
}

/** @param {Connection} was @param {Snapshot} snapshot @returns {Step} */
function replay(was, snapshot) {
  const afresh = isOtherLife(was, snapshot);
  const known = was.known && !afresh;
  const place = known ? {} : { last: Math.max(0, snapshot.seq - HISTORY_ROWS), ts: null };
  const now = { ...was, ...lifeOf(was, snapshot), known, ...place, target: snapshot.seq };
  /** @type {Effect[]} */
  const effects = [...(afresh ? [/** @type {Effect} */ ({ do: "begin_afresh" })] : []), { do: "know", snapshot }];
  // Without a history there are no pages: the stream gives what the harness still holds.
  if (now.last >= snapshot.seq || snapshot.stored === false) return open(now, effects);
  return [{ ...now, phase: "replaying" }, [...effects, { do: "ask_page", since: now.last, ts: now.ts }]];
}

/** @param {Connection} was @param {Snapshot} snapshot */
function lifeOf(was, snapshot) {
  // A stopped agent has no boot: the one before stays, so that the next life is seen to be another one.
  return { boot: snapshot.boot ?? was.boot, stored: snapshot.boot ? snapshot.stored !== false : was.stored };
}

/** @param {Connection} was @param {LiveEvent[]} events @param {boolean} isReset @returns {Step} */
function page(was, events, isReset) {
  // They do not follow what is shown: why, and what is to be shown instead, the stream says.
  if (isReset && was.known) return open(was, []);
  const [now, effects] = take(was, events);
  // A page of nothing: what the state counted was not written, or is swept away already.
  if (!events.length || now.last >= now.target)
    return open(now.last < now.target ? { ...now, last: now.target, ts: null } : now, effects);
  return [now, [...effects, { do: "ask_page", since: now.last, ts: now.ts }]];
}

/** @param {Connection} was @param {Effect[]} effects @returns {Step} */
function open(was, effects) {
  return [{ ...was, phase: "opening" }, [...effects, { do: "open", since: was.last, ts: was.ts }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @param {number} now @returns {Step} */
function live(was, snapshot, now) {
  if (isOtherLife(was, snapshot)) return again(was);
  const joined = { ...was, ...lifeOf(was, snapshot), known: true, lostAt: 0, liveAt: now };
  return [{ ...joined, phase: "live" }, [{ do: "know", snapshot }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @returns {Step} */
function changed(was, snapshot) {
  if (isOtherLife(was, snapshot)) return again(was);
  return [{ ...was, ...lifeOf(was, snapshot) }, [{ do: "know", snapshot }]];
}

/** @param {Connection} was @param {LiveEvent[]} events @returns {Step} */
function take(was, events) {
  /** @type {Effect[]} */
  const effects = [];
  /** @type {LiveEvent[]} */
  let fresh = [];
  let { last, ts, known } = was;
  for (const event of events) {
    // Without a number: a piece of what is being written, or a note of this connection's own.
    if (event.seq === null) fresh.push(event);
    else if (event.seq > last) {
      if (event.seq > last + 1 && known) {
        if (fresh.length) effects.push({ do: "show", events: fresh });
        fresh = [];
        effects.push({ do: "gap", missing: event.seq - last - 1 });
      }
      fresh.push(event);
      [last, ts, known] = [event.seq, event.ts ?? null, true];
    }
  }
  if (fresh.length) effects.push({ do: "show", events: fresh });
  return [{ ...was, last, ts, known }, effects];
}

/** @param {Connection} was @param {number} since @returns {Step} */
function reset(was, since) {
  if (since < was.last) return [{ ...was, last: since, ts: null, known: false }, [{ do: "begin_afresh" }]];
  const missing = since - was.last;
  return [{ ...was, last: since, ts: missing ? null : was.ts }, missing && was.known ? [{ do: "gap", missing }] : []];
}

/** @param {Connection} was @returns {Step} */
function again(was) {
  return [{ ...was, phase: "connecting", reason: "" }, [{ do: "close" }, { do: "ask_state" }]];
}

/** @param {Connection} was @param {string} reason @param {number} now @returns {Step} */
function lost(was, reason, now) {
  const wasSteady = was.phase === "live" && now - was.liveAt >= STEADY_MS;
  const tried = wasSteady ? 0 : was.attempt;
  const seconds = RETRY_S[Math.min(tried, RETRY_S.length - 1)];
  const times = { retryAt: now + seconds * 1000, lostAt: was.lostAt || now };
  const next = { ...was, ...times, attempt: tried + 1, phase: /** @type {Phase} */ ("reconnecting"), reason };
  return [next, [{ do: "close" }, { do: "retry_in", seconds }]];
}

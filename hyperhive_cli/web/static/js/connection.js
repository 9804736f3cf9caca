/**
 * The state machine of the page's connection to one agent. Pure: `step(connection, input)` returns the next connection
 * and the effects to carry out. Nothing else decides what is read, shown or dropped.
 *
 *   connecting    asks for the agent's state
 *   replaying     reads the history in pages, up to the number in that state
 *   opening       waits for the stream's snapshot
 *   live          receives records as events happen
 *   reconnecting  lost: waits, longer each time, then starts again at `connecting`
 *   refused       the server does not accept the token; only a person can continue
 *   gone          the server has no such agent, or no longer; only a person can continue
 *
 * A record stands for one event and has its number, `seq`. `last` is the number of the newest record shown. A record
 * with a number up to it is dropped, so that what is read twice (from a page and the stream, before and after a restart)
 * is shown once.
 *
 * - Numbers continue over restarts of the harness. A harness without a history starts at 1 again: there, another `boot`
 *   means that everything shown is void.
 * - A history that was replaced by an older one may not have the number `last`, or have it for another event with
 *   another time (`ts`). The server is told both and compares; the stream then says `reset` and sends everything.
 * - If this page is too slow, the stream re-reads the history by itself. If the wanted events are gone from there, it
 *   says `reset` with the number from which it continues. A larger one than `last` is shown as a gap; a smaller one
 *   means that everything shown is void.
 */

export const HISTORY_EVENTS = 2000; // kept in an agent's history
export const PAGE_EVENTS = 500;
export const RETRY_S = [0.5, 1, 2, 4, 8, 15];
export const STEADY_MS = 5000; // a loss after being live for this long is the first in a row

/**
 * @typedef {"connecting" | "replaying" | "opening" | "live" | "reconnecting" | "refused" | "gone"} Phase
 * @typedef {Record<string, any> & {seq: number, boot: string | null, stored: boolean}} Snapshot the agent's state
 * @typedef {{seq: number | null, ts: number, kind: string, type?: string, parent_tool_use_id?: string | null,
 *   rows?: import("./rows.js").Row[], facts?: Record<string, any>, event?: unknown}} FeedRecord an event: the rows that
 *   show it, and the fields of the state that it changes; an `event` instead, if it is a piece of text being written
 * @typedef {{phase: Phase, last: number, ts: number | null, target: number, boot: string | null, stored: boolean,
 *   known: boolean, attempt: number, liveAt: number, retryAt: number, lostAt: number, reason: string}} Connection
 *   `ts`: the time of record `last`, null if it is not known; `known`: whether something is shown; `attempt`: the number of
 *   losses since it was last steady; times are in Unix ms
 * @typedef {{type: "start"} | {type: "retry"} | {type: "state", snapshot: Snapshot} |
 *   {type: "page", records: FeedRecord[], reset?: boolean} | {type: "snapshot", snapshot: Snapshot, now: number} |
 *   {type: "records", records: FeedRecord[]} | {type: "changed", snapshot: Snapshot} |
 *   {type: "reset", since: number} | {type: "lost", reason: string, now: number} | {type: "refused" | "gone", reason: string}} Input
 * @typedef {{do: "ask_state"} | {do: "ask_page" | "open", since: number, ts: number | null} | {do: "close"} |
 *   {do: "retry_in", seconds: number} | {do: "set_state", snapshot: Snapshot} | {do: "clear"} |
 *   {do: "show", records: FeedRecord[]} | {do: "gap", missing: number}} Effect
 * @typedef {[Connection, Effect[]]} Step
 */

/** @returns {Connection} */
export function initialConnection() {
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
      return was.phase === "replaying" ? page(was, input.records, input.reset === true) : [was, []];
    case "snapshot":
      return was.phase === "opening" ? live(was, input.snapshot, input.now) : [was, []];
    case "records":
      return was.phase === "live" || was.phase === "opening" ? take(was, input.records) : [was, []];
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

/** Return true if only a person can continue. @param {Connection} connection */
export function isOver({ phase }) {
  return phase === "refused" || phase === "gone";
}

/**
 * Return true if the numbers of what is shown are not those of this snapshot.
 * @param {Connection} was @param {Snapshot} snapshot
 */
function isRenumbered(was, snapshot) {
  const isAnother = Boolean(snapshot.boot) && Boolean(was.boot) && snapshot.boot !== was.boot;
  return was.known && isAnother && !(snapshot.stored !== false && was.stored);
}

/** @param {Connection} was @param {Snapshot} snapshot @returns {Step} */
function replay(was, snapshot) {
  const isVoid = isRenumbered(was, snapshot);
  const known = was.known && !isVoid;
  const position = known ? {} : { last: Math.max(0, snapshot.seq - HISTORY_EVENTS), ts: null };
  const now = { ...was, ...bootOf(was, snapshot), known, ...position, target: snapshot.seq };
  /** @type {Effect[]} */
  const effects = [...(isVoid ? [/** @type {Effect} */ ({ do: "clear" })] : []), { do: "set_state", snapshot }];
  // Without a history there are no pages: the stream sends what the harness still holds.
  if (now.last >= snapshot.seq || snapshot.stored === false) return open(now, effects);
  return [{ ...now, phase: "replaying" }, [...effects, { do: "ask_page", since: now.last, ts: now.ts }]];
}

/** @param {Connection} was @param {Snapshot} snapshot */
function bootOf(was, snapshot) {
  // A stopped agent has no boot: keep the one before, to recognise the next as another one.
  return { boot: snapshot.boot ?? was.boot, stored: snapshot.boot ? snapshot.stored !== false : was.stored };
}

/** @param {Connection} was @param {FeedRecord[]} records @param {boolean} isReset @returns {Step} */
function page(was, records, isReset) {
  // They do not continue what is shown: the stream says why, and what to show instead.
  if (isReset && was.known) return open(was, []);
  const [now, effects] = take(was, records);
  // An empty page: the events up to the state's number were never written, or were deleted meanwhile.
  if (!records.length || now.last >= now.target)
    return open(now.last < now.target ? { ...now, last: now.target, ts: null } : now, effects);
  return [now, [...effects, { do: "ask_page", since: now.last, ts: now.ts }]];
}

/** @param {Connection} was @param {Effect[]} effects @returns {Step} */
function open(was, effects) {
  return [{ ...was, phase: "opening" }, [...effects, { do: "open", since: was.last, ts: was.ts }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @param {number} now @returns {Step} */
function live(was, snapshot, now) {
  if (isRenumbered(was, snapshot)) return again(was);
  const joined = { ...was, ...bootOf(was, snapshot), known: true, lostAt: 0, liveAt: now };
  return [{ ...joined, phase: "live" }, [{ do: "set_state", snapshot }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @returns {Step} */
function changed(was, snapshot) {
  if (isRenumbered(was, snapshot)) return again(was);
  return [{ ...was, ...bootOf(was, snapshot) }, [{ do: "set_state", snapshot }]];
}

/** @param {Connection} was @param {FeedRecord[]} records @returns {Step} */
function take(was, records) {
  /** @type {Effect[]} */
  const effects = [];
  /** @type {FeedRecord[]} */
  let fresh = [];
  let { last, ts, known } = was;
  for (const record of records) {
    // Without a number: a piece of text being written, or a note of the server about this connection.
    if (record.seq === null) fresh.push(record);
    else if (record.seq > last) {
      if (record.seq > last + 1 && known) {
        if (fresh.length) effects.push({ do: "show", records: fresh });
        fresh = [];
        effects.push({ do: "gap", missing: record.seq - last - 1 });
      }
      fresh.push(record);
      [last, ts, known] = [record.seq, record.ts ?? null, true];
    }
  }
  if (fresh.length) effects.push({ do: "show", records: fresh });
  return [{ ...was, last, ts, known }, effects];
}

/** @param {Connection} was @param {number} since @returns {Step} */
function reset(was, since) {
  if (since < was.last) return [{ ...was, last: since, ts: null, known: false }, [{ do: "clear" }]];
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
  const seconds = retryAfter(tried);
  const times = { retryAt: now + seconds * 1000, lostAt: was.lostAt || now };
  const next = { ...was, ...times, attempt: tried + 1, phase: /** @type {Phase} */ ("reconnecting"), reason };
  return [next, [{ do: "close" }, { do: "retry_in", seconds }]];
}

/** Return how long to wait after this many losses in a row, in seconds. @param {number} losses */
export function retryAfter(losses) {
  return RETRY_S[Math.min(losses, RETRY_S.length - 1)];
}

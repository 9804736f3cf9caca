/**
 * The state machine of the page's connection to one agent. Pure: `step(connection, input)` returns the next connection
 * and the effects to carry out. Nothing else decides what is read, shown or dropped.
 *
 *   connecting    asks for the state and the newest events, in one answer
 *   joining       has asked the hub for the agent's stream, and waits for its snapshot
 *   live          receives records as events happen
 *   reconnecting  lost: what is shown stays. If it had joined, the hub tries again; if not, it waits and asks itself
 *   refused       the server does not accept the token; only a person can continue
 *   gone          the server has no such agent, or no longer; only a person can continue
 *
 * A record stands for one event and has its number, `seq`. What is shown goes from `oldest` to `last` without a break;
 * older records are read page by page when they are wanted. A record with a number up to `last` is dropped, so that what
 * is received twice (from the answer and the stream, before and after a restart, for another tab) is shown once.
 *
 * - Numbers continue over restarts of the harness. A harness without a history starts at 1 again: there, another `boot`
 *   means that everything shown is void.
 * - A history that was replaced by an older one may not have the number `last`, or have it for another event with
 *   another time (`ts`). The server is told both and compares; the stream then says `reset` and sends everything. A tab
 *   that is ahead of others at the same agent finds out when that number comes.
 * - If this page is too slow, the stream re-reads the history by itself. If the wanted events are gone from there, it
 *   says `reset` with the number from which it continues. A larger one than `last` is shown as a gap; a smaller one
 *   means that everything shown is void.
 * - After a long absence the page starts with the newest events again, rather than receive everything that it missed.
 */

export const HISTORY_EVENTS = 2000; // kept in an agent's history
export const OPEN_EVENTS = 100;
export const MISSED_EVENTS = 500; // missed during a loss: more are not received, the page starts again
export const RETRY_S = [0.5, 1, 2, 4, 8, 15];
export const STEADY_MS = 5000; // a loss after being live for this long is the first in a row

/**
 * @typedef {"connecting" | "joining" | "live" | "reconnecting" | "refused" | "gone"} Phase
 * @typedef {Record<string, any> & {seq: number, boot: string | null, stored: boolean}} Snapshot the agent's state
 * @typedef {{seq: number | null, ts: number, kind: string, type?: string, parent_tool_use_id?: string | null,
 *   rows?: import("./rows.js").Row[], facts?: Record<string, any>, event?: unknown}} FeedRecord an event: the rows that
 *   show it, and the fields of the state that it changes; an `event` instead, if it is a piece of text being written
 * @typedef {{phase: Phase, last: number, ts: number | null, oldest: number | null, isStart: boolean, wants: number | null,
 *   boot: string | null, stored: boolean, known: boolean, hasJoined: boolean, attempt: number, liveAt: number,
 *   retryAt: number, lostAt: number, reason: string}} Connection
 *   `ts`: the time of record `last`, null if it is not known; `isStart`: nothing is older than `oldest`; `wants`: the
 *   records before this number were asked for; `known`: whether something is shown; `attempt`: the number of losses since
 *   it was last steady; times are in Unix ms
 * @typedef {{state: Snapshot, events: FeedRecord[], oldest: number | null, last: number,
 *   head?: FeedRecord | null, inbox?: unknown}} Opening `head`: what started the turn within which the events begin
 * @typedef {{type: "start"} | {type: "retry"} | {type: "rejoin"} | {type: "opened", answer: Opening} |
 *   {type: "older", before?: number} |
 *   {type: "older_page", before: number, records: FeedRecord[], oldest: number | null, head?: FeedRecord | null} |
 *   {type: "older_failed", before: number} | {type: "snapshot", snapshot: Snapshot, now: number} |
 *   {type: "records", records: FeedRecord[]} | {type: "changed", snapshot: Snapshot} | {type: "reset", since: number} |
 *   {type: "lost", reason: string, now: number, retryAt?: number, attempt?: number} |
 *   {type: "refused" | "gone", reason: string}} Input
 * @typedef {{do: "ask_open"} | {do: "ask_older", before: number} | {do: "join", since: number, ts: number | null} |
 *   {do: "leave"} | {do: "retry_in", seconds: number} | {do: "retry_stream"} | {do: "set_state", snapshot: Snapshot} |
 *   {do: "clear"} | {do: "show", records: FeedRecord[]} |
 *   {do: "set_head", head: FeedRecord} | {do: "show_older", records: FeedRecord[], isStart: boolean, head: FeedRecord | null} | {do: "gap", missing: number}} Effect
 * @typedef {[Connection, Effect[]]} Step
 */

/** @returns {Connection} */
export function initialConnection() {
  return {
    phase: "connecting",
    ...nothingShown(0),
    wants: null,
    boot: null,
    stored: true,
    hasJoined: false,
    attempt: 0,
    liveAt: 0,
    retryAt: 0,
    lostAt: 0,
    reason: "",
  };
}

/** @param {number} last */
function nothingShown(last) {
  return { last, ts: null, oldest: null, isStart: false, wants: null, known: false };
}

/** @param {Connection} was @param {Input} input @returns {Step} */
export function step(was, input) {
  switch (input.type) {
    case "start":
      return [{ ...was, phase: "connecting", reason: "" }, [{ do: "ask_open" }]];
    case "retry":
      return was.hasJoined ? [was, [{ do: "retry_stream" }]] : step(was, { type: "start" });
    case "rejoin":
      return was.hasJoined ? joinAgent(was, []) : [was, []];
    case "opened":
      return was.phase === "connecting" ? afterOpening(was, input.answer) : [was, []];
    case "older":
      return wantOlder(was, input.before ?? was.oldest);
    case "older_page":
      return was.wants === input.before ? takeOlder(was, input) : [was, []];
    case "older_failed":
      return [was.wants === input.before ? { ...was, wants: null } : was, []];
    case "snapshot":
      return was.hasJoined ? afterSnapshot(was, input.snapshot, input.now) : [was, []];
    case "records":
      if (was.phase !== "live") return [was, []];
      return isOtherHistory(was, input.records) ? reopen(was) : takeRecords(was, input.records);
    case "changed":
      return was.phase === "live" ? afterChange(was, input.snapshot) : [was, []];
    case "reset":
      return was.phase === "live" ? afterReset(was, input.since) : [was, []];
    case "lost":
      return isOver(was) ? [was, []] : afterLoss(was, input);
    case "refused":
    case "gone":
      return [{ ...was, phase: input.type, hasJoined: false, wants: null, reason: input.reason }, [{ do: "leave" }]];
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

/**
 * Return true if these records are of a history in which `last` is another event. The server looks after that, but only
 * for the tab that is furthest behind.
 * @param {Connection} was @param {FeedRecord[]} records
 */
function isOtherHistory({ last, ts }, records) {
  return ts !== null && records.some((record) => record.seq === last && (record.ts ?? ts) !== ts);
}

/** @param {Connection} was @param {Opening} answer @returns {Step} */
function afterOpening(was, answer) {
  const { state, events } = answer;
  const isVoid = was.known && (isRenumbered(was, state) || !isContinued(was, answer));
  /** @type {Connection} */
  const now = { ...was, ...bootOf(was, state), ...(isVoid ? nothingShown(0) : {}), reason: "" };
  /** @type {Effect[]} */
  const effects = [...(isVoid ? [/** @type {Effect} */ ({ do: "clear" })] : []), { do: "set_state", snapshot: state }];
  if (now.known) {
    const [next, shown] = takeRecords(now, events);
    return joinAgent(next, [...effects, ...shown]);
  }
  // Without a history the stream sends what the harness still holds.
  if (state.stored === false) return joinAgent({ ...now, last: Math.max(0, state.seq - HISTORY_EVENTS), isStart: true }, effects);
  const [next, shown] = takeRecords(now, events);
  const isStart = !events.length || hasFirst(events, answer.oldest);
  if (answer.head) effects.push({ do: "set_head", head: answer.head });
  effects.push(...shown);
  if (isStart) effects.push({ do: "show_older", records: [], isStart, head: null });
  // Without events: there are none yet, or the history cannot be read, which must not hold up the stream.
  return joinAgent({ ...next, isStart, last: events.length ? next.last : answer.last || state.seq }, effects);
}

/**
 * Return true if the answer is known to continue what is shown, or if only the stream can tell.
 * @param {Connection} was @param {Opening} answer
 */
function isContinued(was, { events, last }) {
  if (!events.length || last < was.last) return true;
  const same = events.find(({ seq }) => seq === was.last);
  return same !== undefined && (was.ts === null || same.ts === was.ts);
}

/** @param {FeedRecord[]} records @param {number | null} oldest */
function hasFirst(records, oldest) {
  return oldest === null || /** @type {number} */ (records[0].seq) <= oldest;
}

/** @param {Connection} was @param {Snapshot} snapshot */
function bootOf(was, snapshot) {
  // A stopped agent has no boot: keep the one before, to recognise the next as another one.
  return { boot: snapshot.boot ?? was.boot, stored: snapshot.boot ? snapshot.stored !== false : was.stored };
}

/** @param {Connection} was @param {Effect[]} effects @returns {Step} */
function joinAgent(was, effects) {
  const joined = { ...was, phase: /** @type {Phase} */ ("joining"), hasJoined: true };
  return [joined, [...effects, { do: "join", since: was.last, ts: was.ts }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @param {number} now @returns {Step} */
function afterSnapshot(was, snapshot, now) {
  const isFarBehind = was.phase === "reconnecting" && was.known && snapshot.seq - was.last > MISSED_EVENTS;
  if (isRenumbered(was, snapshot) || (isFarBehind && snapshot.stored !== false)) return reopen(was);
  const times = was.phase === "live" ? {} : { liveAt: now, lostAt: 0 };
  return [{ ...was, ...bootOf(was, snapshot), ...times, phase: "live", reason: "" }, [{ do: "set_state", snapshot }]];
}

/** @param {Connection} was @param {Snapshot} snapshot @returns {Step} */
function afterChange(was, snapshot) {
  if (isRenumbered(was, snapshot)) return reopen(was);
  return [{ ...was, ...bootOf(was, snapshot) }, [{ do: "set_state", snapshot }]];
}

/** @param {Connection} was @param {FeedRecord[]} records @returns {Step} */
function takeRecords(was, records) {
  /** @type {Effect[]} */
  const effects = [];
  /** @type {FeedRecord[]} */
  let fresh = [];
  let { last, ts, known, oldest } = was;
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
      [last, ts, known, oldest] = [record.seq, record.ts ?? null, true, oldest ?? record.seq];
    }
  }
  if (fresh.length) effects.push({ do: "show", records: fresh });
  return [{ ...was, last, ts, known, oldest }, effects];
}

/**
 * Ask for the records before a number. One that is shown no longer, because the page is bounded, is asked for again.
 * @param {Connection} was @param {number | null} before @returns {Step}
 */
function wantOlder(was, before) {
  const isFirst = was.isStart && before === was.oldest;
  if (before === null || isFirst || was.oldest === null || was.wants !== null || isOver(was)) return [was, []];
  return [{ ...was, oldest: before, isStart: false, wants: before }, [{ do: "ask_older", before }]];
}

/**
 * @param {Connection} was @param {{records: FeedRecord[], oldest: number | null, head?: FeedRecord | null}} page
 * @returns {Step}
 */
function takeOlder(was, { records, oldest, head = null }) {
  const isStart = !records.length || hasFirst(records, oldest);
  const first = records.length ? records[0].seq : was.oldest;
  return [{ ...was, wants: null, oldest: first, isStart }, [{ do: "show_older", records, isStart, head }]];
}

/** @param {Connection} was @param {number} since @returns {Step} */
function afterReset(was, since) {
  // What follows a smaller number is everything that there is.
  if (since < was.last) return [{ ...was, ...nothingShown(since), isStart: true }, [{ do: "clear" }]];
  const missing = since - was.last;
  return [{ ...was, last: since, ts: missing ? null : was.ts }, missing && was.known ? [{ do: "gap", missing }] : []];
}

/** @param {Connection} was @returns {Step} */
function reopen(was) {
  return [{ ...was, phase: "connecting", hasJoined: false, wants: null, reason: "" }, [{ do: "leave" }, { do: "ask_open" }]];
}

/**
 * A stream that was lost is tried again by the hub, which says when.
 * @param {Connection} was @param {{reason: string, now: number, retryAt?: number, attempt?: number}} loss @returns {Step}
 */
function afterLoss(was, { reason, now, retryAt, attempt }) {
  const phase = /** @type {Phase} */ ("reconnecting");
  const lostAt = was.lostAt || now;
  if (was.hasJoined) {
    return [{ ...was, phase, reason, lostAt, retryAt: retryAt ?? now, attempt: attempt ?? was.attempt + 1 }, []];
  }
  const seconds = retryAfter(was.attempt);
  return [
    { ...was, phase, reason, lostAt, retryAt: now + seconds * 1000, attempt: was.attempt + 1 },
    [{ do: "retry_in", seconds }],
  ];
}

/** Return how long to wait after this many losses in a row, in seconds. @param {number} losses */
export function retryAfter(losses) {
  return RETRY_S[Math.min(losses, RETRY_S.length - 1)];
}

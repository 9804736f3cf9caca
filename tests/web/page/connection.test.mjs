// The state machine of the page's connection to an agent: inputs, and the effects they have. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import {
  HISTORY_EVENTS,
  MISSED_EVENTS,
  RETRY_S,
  initialConnection,
  step,
} from "../../../hyperhive_cli/web/static/js/connection.js";

const snapshot = (seq, more = {}) => ({ seq, boot: "one", stored: true, running: true, ...more });
const some = (...numbers) => numbers.map((seq) => ({ seq, kind: "note" }));
const timed = (...numbers) => numbers.map((seq) => ({ seq, ts: 1000 + seq, kind: "note" }));
const records = (...numbers) => ({ type: "records", records: some(...numbers) });
const joined = (seq, more) => ({ type: "snapshot", snapshot: snapshot(seq, more), now: 1000 });
const lost = (now = 2000) => ({ type: "lost", reason: "gone", now });
const START = { type: "start" };
const RETRY = { type: "retry" };

/** What the server answers first: these events, all there are unless `oldest` says otherwise. */
function opened(events, { oldest = events[0]?.seq ?? null, seq = events.at(-1)?.seq ?? 0, ...state } = {}) {
  const last = events.at(-1)?.seq ?? 0;
  return { type: "opened", answer: { state: snapshot(seq, state), events, oldest, last } };
}

/** Play inputs; return the last connection, what was shown (a gap as "-N", a clearing as "|"), and the other effects. */
function play(...inputs) {
  let connection = initialConnection();
  const shown = [];
  const done = [];
  for (const input of inputs) {
    const [next, effects] = step(connection, input);
    connection = next;
    for (const effect of effects) {
      if (effect.do === "show") shown.push(...effect.records.map((record) => record.seq));
      else if (effect.do === "show_older") shown.unshift(...effect.records.map((record) => record.seq));
      else if (effect.do === "gap") shown.push(`-${effect.missing}`);
      else if (effect.do === "clear") shown.push("|");
      else if (effect.do !== "set_state") done.push(effect);
    }
  }
  return { connection, shown, done, last: done.at(-1) };
}

const ONLINE = [START, opened(some(1, 2, 3)), joined(3)];

test("asks for the newest events, joins the stream behind them, and is live", () => {
  const { connection, shown, done } = play(START, opened(timed(4, 5), { oldest: 1 }), joined(5), records(6));
  assert.equal(connection.phase, "live");
  assert.deepEqual(shown, [4, 5, 6]);
  assert.deepEqual(done, [{ do: "ask_open" }, { do: "join", since: 5, ts: 1005 }]);
  assert.deepEqual([connection.oldest, connection.isStart], [4, false]);
});

test("older events are read page by page until the first, one page at a time", () => {
  const page = (before, ...numbers) => ({ type: "older_page", before, records: some(...numbers), oldest: 1 });
  const older = { type: "older" };
  const { connection, shown, done } = play(
    START,
    opened(some(5, 6), { oldest: 1 }),
    older,
    older,
    joined(6),
    page(5, 3, 4),
    records(7),
    older,
    page(5, 3, 4), // an answer that came twice
    page(3, 1, 2),
    older,
  );
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(
    done.filter((effect) => effect.do === "ask_older"),
    [
      { do: "ask_older", before: 5 },
      { do: "ask_older", before: 3 },
    ],
  );
  assert.equal(connection.isStart, true);
});

test("older events that the page has dropped meanwhile are read again", () => {
  const { connection, done } = play(START, opened(some(1, 2, 3, 4)), joined(4), { type: "older" }, { type: "older", before: 3 });
  assert.deepEqual(done.at(-1), { do: "ask_older", before: 3 });
  const [next] = step(connection, { type: "older_page", before: 3, records: some(1, 2), oldest: 1 });
  assert.deepEqual([next.oldest, next.isStart], [1, true]);
});

test("a page of older events that failed can be asked for again, and one of a void history is dropped", () => {
  const first = [START, opened(some(5, 6), { oldest: 1 }), joined(6), { type: "older" }];
  const again = play(...first, { type: "older_failed", before: 5 }, { type: "older" });
  assert.deepEqual(again.last, { do: "ask_older", before: 5 });
  const page = { type: "older_page", before: 5, records: some(3, 4), oldest: 1 };
  assert.deepEqual(play(...first, { type: "reset", since: 0 }, page, records(1)).shown, [5, 6, "|", 1]);
});

test("a page that shows the first event says so at once", () => {
  const starts = (input) => step(step(initialConnection(), START)[0], input)[1].filter((one) => one.do === "show_older");
  assert.deepEqual(starts(opened(some(1, 2))), [{ do: "show_older", records: [], isStart: true, head: null }]);
  assert.deepEqual(starts(opened(some(8, 9), { oldest: 1 })), []);
});

test("an empty agent is live immediately", () => {
  const { connection, done } = play(START, opened([]), joined(0));
  assert.equal(connection.phase, "live");
  assert.deepEqual(done.at(-1), { do: "join", since: 0, ts: null });
});

test("a history that cannot be read does not hold up the stream", () => {
  assert.deepEqual(play(START, opened([], { seq: 7 })).last, { do: "join", since: 7, ts: null });
});

test("records of a stream that is not this connection's are not shown", () => {
  assert.deepEqual(play(START, records(1), opened(some(1, 2)), records(5), joined(2), records(3)).shown, [1, 2, 3]);
});

test("a record received twice is shown once, in order", () => {
  const { shown } = play(...ONLINE, records(2, 3, 4), records(4, 5), records(5, 3, 6));
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6]);
});

test("pieces of a text have no number, and keep their place among numbered records", () => {
  const { shown } = play(...ONLINE, {
    type: "records",
    records: [{ seq: null, kind: "stream" }, ...some(4), { seq: null, kind: "note" }],
  });
  assert.deepEqual(shown, [1, 2, 3, null, 4, null]);
});

test("an answer that fails is asked for again after longer and longer waits", () => {
  const again = [RETRY, lost()];
  const { connection, done } = play(START, lost(), ...again, ...again, ...again, ...again, ...again, ...again);
  assert.equal(connection.phase, "reconnecting");
  assert.deepEqual(
    done.filter((effect) => effect.do === "retry_in").map((effect) => effect.seconds),
    [...RETRY_S, RETRY_S.at(-1)],
  );
});

test("a stream that is lost is left to the hub, and the feed continues after the newest record", () => {
  const { connection, shown, done } = play(
    ...ONLINE,
    records(4),
    { ...lost(), retryAt: 7000, attempt: 3 },
    joined(6),
    records(4, 5, 6),
    records(7),
  );
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(connection.phase, "live");
  assert.equal(connection.lostAt, 0);
  assert.equal(done.length, 2); // nothing is asked for
  const away = play(...ONLINE, { ...lost(), retryAt: 7000, attempt: 3 }).connection;
  assert.deepEqual([away.phase, away.retryAt, away.attempt], ["reconnecting", 7000, 3]);
  assert.deepEqual(play(...ONLINE, lost(), RETRY).last, { do: "retry_stream" });
});

test("after a long absence the page starts with the newest events again", () => {
  const far = 3 + MISSED_EVENTS + 1;
  const { shown, done } = play(...ONLINE, lost(), joined(far), opened(timed(far - 1, far), { oldest: 1 }), joined(far));
  assert.deepEqual(shown, [1, 2, 3, "|", far - 1, far]);
  assert.deepEqual(done.slice(-3), [{ do: "leave" }, { do: "ask_open" }, { do: "join", since: far, ts: 1000 + far }]);
  assert.equal(play(...ONLINE, lost(), joined(far - 1)).connection.phase, "live");
  assert.equal(play(...ONLINE, joined(far)).connection.phase, "live"); // a flood, not an absence
});

test("a new hub is joined again where the page is", () => {
  const { connection, last } = play(...ONLINE, records(4), { type: "rejoin" });
  assert.deepEqual([connection.phase, last], ["joining", { do: "join", since: 4, ts: null }]);
  assert.equal(play(START, { type: "rejoin" }).done.length, 1);
});

test("a missing agent is not asked for again until a person wants it", () => {
  for (const type of ["refused", "gone"]) {
    const over = { type, reason: "there is no agent 'wasp'" };
    const { connection, last, shown } = play(...ONLINE, over, lost(), records(4), joined(4));
    assert.deepEqual([connection.phase, connection.reason, last], [type, over.reason, { do: "leave" }]);
    assert.deepEqual(shown, [1, 2, 3]);
    assert.equal(play(...ONLINE, over, RETRY).last.do, "ask_open");
  }
});

test("the time of the loss is kept over all attempts", () => {
  assert.equal(play(START, lost(5000), RETRY, lost(6000)).connection.lostAt, 5000);
  assert.equal(play(...ONLINE, lost(5000), lost(6000)).connection.lostAt, 5000);
});

test("a restart of the harness continues the same numbers", () => {
  const { shown, connection } = play(
    ...ONLINE,
    { type: "changed", snapshot: snapshot(3, { boot: null, running: false }) },
    { type: "changed", snapshot: snapshot(3, { boot: "two" }) },
    records(4),
  );
  assert.deepEqual(shown, [1, 2, 3, 4]);
  assert.equal(connection.boot, "two");
});

test("without a history another boot clears the page, live or after a loss", () => {
  const bare = { stored: false };
  const other = { stored: false, boot: "two" };
  const online = [START, opened([], { seq: 2, ...bare }), joined(2, bare), records(1, 2, 3)];
  const again = (seq) => [opened([], { seq, ...other }), joined(seq, other), records(1, 2)];
  assert.deepEqual(play(...online.slice(0, 2)).last, { do: "join", since: 0, ts: null });
  const seen = play(...online, { type: "changed", snapshot: snapshot(1, other) }, ...again(1));
  assert.deepEqual(seen.shown, [1, 2, 3, "|", 1, 2]);
  assert.deepEqual(play(...online, lost(), joined(9, other), ...again(9)).shown, [1, 2, 3, "|", 1, 2]);
});

test("no more is asked of a harness without a history than it can hold", () => {
  const { last } = play(START, opened([], { seq: 90_000, stored: false }));
  assert.deepEqual(last, { do: "join", since: 90_000 - HISTORY_EVENTS, ts: null });
});

test("another boot between the answer and the stream is noticed", () => {
  const { last, connection } = play(START, opened(some(1)), joined(1, { stored: false, boot: "two" }));
  assert.equal(connection.phase, "connecting");
  assert.deepEqual(last, { do: "ask_open" });
});

test("an answer to a page that shows something continues it, clears it, or leaves it to the stream", () => {
  const online = [START, opened(timed(1, 2, 3)), joined(3)];
  const asked = (...inputs) => play(...online, { type: "changed", snapshot: snapshot(9, { boot: "x", stored: false }) }, ...inputs);
  const stored = (events, more) => asked(opened(events, { boot: "one", ...more }));
  // `changed` above only makes it ask again; this answer says that there is a history, of the same numbers.
  assert.deepEqual(stored(timed(3, 4)).shown, [1, 2, 3, 4]);
  const other = [{ seq: 3, ts: 7, kind: "note" }, ...timed(4)];
  assert.deepEqual(stored(other).shown, [1, 2, 3, "|", 3, 4]);
  assert.deepEqual(stored(timed(8, 9), { oldest: 1 }).shown, [1, 2, 3, "|", 8, 9]);
  assert.deepEqual(stored(timed(1, 2)).last, { do: "join", since: 3, ts: 1003 });
});

test("a replaced history is left to the stream, which says so", () => {
  const told = play(
    ...ONLINE,
    lost(),
    joined(2),
    { type: "reset", since: 0 },
    { type: "records", records: [{ seq: null, kind: "note" }, ...some(1, 2)] },
  );
  assert.deepEqual(told.shown, [1, 2, 3, "|", null, 1, 2]);
  assert.deepEqual([told.connection.oldest, told.connection.isStart], [1, true]);
});

test("a page that lags is told what it missed, and continues", () => {
  const { shown, connection } = play(...ONLINE, { type: "reset", since: 10 }, records(11, 12));
  assert.deepEqual(shown, [1, 2, 3, "-7", 11, 12]);
  assert.equal(connection.phase, "live");
});

test("a reset to a smaller number clears the page", () => {
  assert.deepEqual(play(...ONLINE, { type: "reset", since: 0 }, records(1)).shown, [1, 2, 3, "|", 1]);
});

test("events deleted while the connection was lost are shown as a gap", () => {
  assert.deepEqual(play(...ONLINE, lost(), joined(9), records(8, 9)).shown, [1, 2, 3, "-4", 8, 9]);
});

test("no input in any phase throws, or shows a number twice without clearing the page", () => {
  const inputs = [
    START,
    RETRY,
    { type: "rejoin" },
    opened(some(1, 2)),
    opened(some(3, 4), { oldest: 1 }),
    opened([]),
    joined(4),
    joined(4000),
    records(3, 4, 5),
    { type: "older" },
    { type: "older_page", before: 3, records: some(1, 2), oldest: 1 },
    { type: "older_failed", before: 3 },
    { type: "changed", snapshot: snapshot(5) },
    { type: "changed", snapshot: snapshot(5, { boot: "two", stored: false }) },
    { type: "reset", since: 4 },
    { type: "reset", since: 6 },
    lost(),
    { type: "refused", reason: "" },
  ];
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let round = 0; round < 2000; round += 1) {
    let connection = initialConnection();
    let shown = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const [next, effects] = step(connection, inputs[Math.floor(random() * inputs.length)]);
      connection = next;
      for (const effect of effects) {
        if (effect.do === "clear") shown = [];
        if (effect.do === "show") shown.push(...effect.records.map(({ seq }) => seq));
        if (effect.do === "show_older") shown.unshift(...effect.records.map(({ seq }) => seq));
      }
      assert.deepEqual(shown, [...new Set(shown)].sort((one, other) => one - other));
      assert.ok((shown.at(-1) ?? 0) <= connection.last);
      assert.equal(connection.known, shown.length > 0);
      if (shown.length) assert.equal(connection.oldest, shown[0]);
    }
  }
});

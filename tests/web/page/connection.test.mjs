// The state machine of the page's connection: inputs, and the effects they have. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import {
  HISTORY_EVENTS,
  RETRY_S,
  STEADY_MS,
  initialConnection,
  step,
} from "../../../hyperhive_cli/web/static/js/connection.js";
import { FeedClient } from "../../../hyperhive_cli/web/static/js/feed_client.js";

const snapshot = (seq, more = {}) => ({ seq, boot: "one", stored: true, running: true, ...more });
const some = (...numbers) => numbers.map((seq) => ({ seq, kind: "note" }));
const records = (...numbers) => ({ type: "records", records: some(...numbers) });
const page = (...numbers) => ({ type: "page", records: some(...numbers) });
const joined = (seq, more) => ({ type: "snapshot", snapshot: snapshot(seq, more), now: 1000 });
const lost = (now = 2000) => ({ type: "lost", reason: "gone", now });

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
      else if (effect.do === "gap") shown.push(`-${effect.missing}`);
      else if (effect.do === "clear") shown.push("|");
      else if (effect.do !== "set_state") done.push(effect);
    }
  }
  return { connection, shown, done, last: done.at(-1) };
}

const ONLINE = [{ type: "start" }, { type: "state", snapshot: snapshot(3) }, page(1, 2, 3), joined(3)];

test("connects, reads the history in pages, opens the stream behind it, and is live", () => {
  const { connection, shown, done } = play(
    { type: "start" },
    { type: "state", snapshot: snapshot(5) },
    page(1, 2, 3),
    page(4, 5),
    joined(5),
    records(6),
  );
  assert.equal(connection.phase, "live");
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(done, [
    { do: "ask_state" },
    { do: "ask_page", since: 0, ts: null },
    { do: "ask_page", since: 3, ts: null },
    { do: "open", since: 5, ts: null },
  ]);
});

test("asks for no more of a long history than is kept, and does not call its start a gap", () => {
  const { shown, done } = play(
    { type: "start" },
    { type: "state", snapshot: snapshot(90_000) },
    page(89_500, 89_501),
  );
  assert.deepEqual(done[1], { do: "ask_page", since: 90_000 - HISTORY_EVENTS, ts: null });
  assert.deepEqual(shown, [89_500, 89_501]);
});

test("an empty agent is live immediately", () => {
  const { connection, done } = play({ type: "start" }, { type: "state", snapshot: snapshot(0) }, joined(0));
  assert.equal(connection.phase, "live");
  assert.deepEqual(done.at(-1), { do: "open", since: 0, ts: null });
});

test("a history that cannot be read does not hold up the stream", () => {
  const { last } = play({ type: "start" }, { type: "state", snapshot: snapshot(7) }, page());
  assert.deepEqual(last, { do: "open", since: 7, ts: null });
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

test("a loss is followed by longer and longer waits, and the feed continues after the newest record", () => {
  const again = [{ type: "retry" }, lost()];
  const { connection, done } = play(...ONLINE, lost(), ...again, ...again, ...again, ...again, ...again, ...again);
  assert.equal(connection.phase, "reconnecting");
  assert.deepEqual(
    done.filter((effect) => effect.do === "retry_in").map((effect) => effect.seconds),
    [...RETRY_S, RETRY_S.at(-1)],
  );
  const back = play(
    ...ONLINE,
    records(4),
    lost(),
    { type: "retry" },
    { type: "state", snapshot: snapshot(6) },
    page(5, 6),
    joined(6),
    records(7),
  );
  assert.deepEqual(back.shown, [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(back.connection.phase, "live");
  assert.equal(back.connection.lostAt, 0);
});

test("a steady connection starts with the shortest wait again; one that flaps does not", () => {
  const flap = [{ type: "retry" }, { type: "state", snapshot: snapshot(3) }, joined(3)];
  const seconds = (...inputs) => play(...inputs).last.seconds;
  assert.equal(seconds(...ONLINE, lost(1001), ...flap, lost(1002)), RETRY_S[1]);
  assert.equal(seconds(...ONLINE, lost(1001), ...flap, lost(1000 + STEADY_MS)), RETRY_S[0]);
});

test("a missing agent is not asked for again until a person wants it", () => {
  for (const type of ["refused", "gone"]) {
    const over = { type, reason: "there is no agent 'wasp'" };
    const { connection, last } = play(...ONLINE, over, lost());
    assert.deepEqual([connection.phase, connection.reason, last], [type, over.reason, { do: "close" }]);
    assert.equal(play(...ONLINE, over, { type: "retry" }).last.do, "ask_state");
  }
});

test("the time of the loss is kept over all attempts", () => {
  assert.equal(play(...ONLINE, lost(5000), { type: "retry" }, lost(6000)).connection.lostAt, 5000);
});

test("a restart of the harness continues the same numbers", () => {
  const { shown, connection } = play(
    ...ONLINE,
    { type: "changed", snapshot: snapshot(3, { boot: null, running: false }) },
    {
      type: "changed",
      snapshot: snapshot(3, { boot: "two" }),
    },
    records(4),
  );
  assert.deepEqual(shown, [1, 2, 3, 4]);
  assert.equal(connection.boot, "two");
});

test("without a history another boot clears the page, live or after a loss", () => {
  const bare = { stored: false };
  const online = [
    { type: "start" },
    { type: "state", snapshot: snapshot(2, bare) },
    joined(2, bare),
    records(1, 2, 3),
  ];
  const other = { stored: false, boot: "two" };
  const seen = play(
    ...online,
    { type: "changed", snapshot: snapshot(1, other) },
    { type: "state", snapshot: snapshot(1, other) },
    joined(1, other),
    records(1, 2),
  );
  assert.deepEqual(seen.shown, [1, 2, 3, "|", 1, 2]);
  const late = play(
    ...online,
    lost(),
    { type: "retry" },
    { type: "state", snapshot: snapshot(9, other) },
    joined(9, other),
    records(1, 2),
  );
  assert.deepEqual(late.shown, [1, 2, 3, "|", 1, 2]);
});

test("the newest record is named by its number and its time", () => {
  const timed = (...numbers) => numbers.map((seq) => ({ seq, ts: 1000 + seq, kind: "note" }));
  const { done } = play(
    { type: "start" },
    { type: "state", snapshot: snapshot(3) },
    { type: "page", records: timed(1, 2) },
    { type: "page", records: timed(3) },
    joined(3),
    { type: "records", records: [...timed(4), { seq: null, ts: 9, kind: "note" }] },
    lost(),
    { type: "retry" },
    { type: "state", snapshot: snapshot(5) },
    { type: "page", records: [] },
  );
  assert.deepEqual(
    done.filter(({ do: what }) => what === "ask_page" || what === "open"),
    [
      { do: "ask_page", since: 0, ts: null },
      { do: "ask_page", since: 2, ts: 1002 },
      { do: "open", since: 3, ts: 1003 },
      { do: "ask_page", since: 4, ts: 1004 },
      { do: "open", since: 5, ts: null },
    ],
  );
});

test("a replaced history is left to the stream, which says so", () => {
  const back = play(...ONLINE, lost(), { type: "retry" }, { type: "state", snapshot: snapshot(2) });
  assert.deepEqual([back.shown, back.last], [[1, 2, 3], { do: "open", since: 3, ts: null }]);
  const passed = play(
    ...ONLINE,
    lost(),
    { type: "retry" },
    { type: "state", snapshot: snapshot(9) },
    { ...page(4, 5), reset: true },
  );
  assert.deepEqual([passed.shown, passed.last], [[1, 2, 3], { do: "open", since: 3, ts: null }]);
  const told = play(
    ...ONLINE,
    lost(),
    { type: "retry" },
    { type: "state", snapshot: snapshot(2) },
    joined(2),
    { type: "reset", since: 0 },
    { type: "records", records: [{ seq: null, kind: "note" }, ...some(1, 2)] },
  );
  assert.deepEqual(told.shown, [1, 2, 3, "|", null, 1, 2]);
});

test("another boot between the state and the stream is noticed", () => {
  const bare = { stored: false };
  const { last, connection } = play(
    { type: "start" },
    { type: "state", snapshot: snapshot(1, bare) },
    records(1),
    joined(1, { stored: false, boot: "two" }),
  );
  assert.equal(connection.phase, "connecting");
  assert.deepEqual(last, { do: "ask_state" });
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
  const { shown } = play(...ONLINE, lost(), { type: "retry" }, { type: "state", snapshot: snapshot(9) }, page(8, 9));
  assert.deepEqual(shown, [1, 2, 3, "-4", 8, 9]);
});

test("a refusal ends it until a person tries again", () => {
  const refused = play(...ONLINE, { type: "refused", reason: "wrong token" }, lost(), records(4));
  assert.equal(refused.connection.phase, "refused");
  assert.equal(refused.connection.reason, "wrong token");
  assert.deepEqual(refused.shown, [1, 2, 3]);
  assert.deepEqual(play(...ONLINE, { type: "refused", reason: "" }, { type: "retry" }).last, { do: "ask_state" });
});

test("no input in any phase throws, or shows a number twice without clearing the page", () => {
  const inputs = [
    { type: "start" },
    { type: "retry" },
    { type: "state", snapshot: snapshot(4) },
    page(1, 2),
    page(),
    joined(4),
    records(3, 4, 5),
    { type: "changed", snapshot: snapshot(5) },
    { type: "reset", since: 4 },
    { type: "reset", since: 6 },
    lost(),
    { type: "refused", reason: "" },
  ];
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let round = 0; round < 500; round += 1) {
    const { shown } = play(...Array.from({ length: 30 }, () => inputs[Math.floor(random() * inputs.length)]));
    const numbers = shown.filter((one) => typeof one === "number" || one === "|");
    let last = 0;
    for (const one of numbers) {
      assert.ok(one === "|" || one > last, shown.join(" "));
      last = one === "|" ? 0 : one;
    }
  }
});

test("a server that never answers the request for the stream is given up and asked again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const phases = [];
  const api = {
    get: async () => snapshot(0),
    stream: (_path, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("given up")))),
  };
  const client = new FeedClient(api, { setState: () => {}, setConnection: ({ phase }) => phases.push(phase) });
  client.handle({ type: "start" });
  await new Promise(setImmediate);
  assert.equal(client.connection.phase, "opening");
  context.mock.timers.tick(60_000);
  await new Promise(setImmediate);
  assert.deepEqual(phases, ["opening", "reconnecting"]);
});

// The state machine of the browser's one stream, alone and together with its tabs. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { RETRY_S, STEADY_MS } from "../../../hyperhive_cli/web/static/js/connection.js";
import { JOIN_MS, LEAVE_MS, initialHub, stepHub } from "../../../hyperhive_cli/web/static/js/hub.js";
import { Simulation } from "./simulation.mjs";

const join = (tab, agent, since = null, ts = null) => ({ type: "join", tab, agent, since, ts });
const OPEN = { type: "open" };
const events = (...told) => ({ type: "events", events: told, now: 1000 });
const message = (agent, ...numbers) => ({
  event: "records",
  data: { agent, events: numbers.map((seq) => ({ seq, ts: 1000 + (seq ?? 0) })) },
});
const named = (event, agent, more = {}) => ({ event, data: { agent, ...more } });
const lost = (now) => ({ type: "lost", reason: "gone", now });

/** Play inputs; return the last hub and all effects, those of the last input apart. */
function play(...inputs) {
  let hub = initialHub();
  let last = [];
  const done = [];
  for (const input of inputs) {
    [hub, last] = stepHub(hub, input);
    done.push(...last);
  }
  return { hub, done, last, told: last.filter((one) => one.do === "tell") };
}

/** What the last input told to whom: `tab agent: type`. */
function heard(...inputs) {
  return play(...inputs).told.flatMap(({ members, message }) => members.map(({ tab, agent }) => `${tab} ${agent}: ${message.type}`));
}

test("tabs that join share one stream, which starts where the one that is furthest behind is", () => {
  const inputs = [join("a", "bee", 7, 70), join("b", "bee", 5, 50), join("c", "wasp", 9, null), join("d", "*")];
  const { last, done } = play(...inputs, OPEN);
  assert.deepEqual(last, [{ do: "open", agents: "bee:5:50,wasp:9,*" }]);
  assert.deepEqual(done[0], { do: "open_in", ms: JOIN_MS });
});

test("each tab is told of its agents alone", () => {
  const open = [join("a", "bee", 1), join("b", "wasp", 1), join("c", "*"), OPEN];
  const told = events(named("snapshot", "bee"), message("bee", 2, null), message("wasp", 2), named("overview"));
  assert.deepEqual(heard(...open, told), ["a bee: snapshot", "a bee: records", "b wasp: records", "c *: overview"]);
  assert.deepEqual(heard(...open, events(named("state", "bee"), named("inbox", "wasp"), named("of a newer server", "bee"))), [
    "a bee: changed",
    "b wasp: inbox",
  ]);
});

test("the first overview of a stream is whole, later ones tell what has changed", () => {
  const open = [join("a", "*"), OPEN];
  const isWhole = (...inputs) => play(...inputs).told[0].message.isWhole;
  assert.equal(isWhole(...open, events(named("overview"))), true);
  assert.equal(isWhole(...open, events(named("overview")), events(named("overview"))), false);
  assert.equal(isWhole(...open, events(named("overview")), lost(1), OPEN, events(named("overview"))), true);
});

test("a tab that has just joined is told nothing of the stream before", () => {
  const joined = [join("a", "bee", 3), OPEN, events(message("bee", 4)), join("b", "bee", 1)];
  assert.deepEqual(heard(...joined, events(message("bee", 5))), ["a bee: records"]);
  const { last } = play(...joined, events(message("bee", 5)), OPEN);
  assert.deepEqual(last, [{ do: "open", agents: "bee:1" }]);
  assert.deepEqual(heard(...joined, OPEN, events(message("bee", 2))), ["a bee: records", "b bee: records"]);
});

test("a stream that is lost goes on where it was, after longer and longer waits", () => {
  const again = [OPEN, lost(2000)];
  const inputs = [join("a", "bee", 3), OPEN, events(message("bee", 4)), lost(2000), ...again, ...again];
  const { last, done, hub } = play(...inputs, OPEN);
  assert.deepEqual(last, [{ do: "open", agents: "bee:4:1004" }]);
  const waits = done.filter((one) => one.do === "open_in").map(({ ms }) => ms);
  assert.deepEqual(waits, [JOIN_MS, ...RETRY_S.slice(0, 3).map((seconds) => seconds * 1000)]);
  assert.equal(hub.attempt, 3);
  const steady = play(...inputs, OPEN, events(message("bee", 5)), lost(1000 + STEADY_MS));
  assert.equal(steady.told[0].message.retryAt, 1000 + STEADY_MS + RETRY_S[0] * 1000);
});

test("a wait is ended by whoever wants to, and only a wait", () => {
  const open = [join("a", "bee", 3), OPEN];
  assert.deepEqual(play(...open, { type: "retry" }).last, []);
  assert.deepEqual(play(...open, lost(1), { type: "retry" }).last, [{ do: "open", agents: "bee:3" }]);
  assert.deepEqual(play(...open, lost(1), lost(2)).last, []);
});

test("what follows a reset is where the stream goes on", () => {
  const { last } = play(join("a", "bee", 30), OPEN, events(named("reset", "bee", { since: 2 })), lost(1), OPEN);
  assert.deepEqual(last, [{ do: "open", agents: "bee:2" }]);
});

test("a tab that is gone is told nothing, and its agent is left out of the next stream", () => {
  const open = [join("a", "bee", 1), join("b", "wasp", 1), OPEN];
  const gone = play(...open, { type: "tab_gone", tab: "b" });
  assert.deepEqual(gone.last, [{ do: "open_in", ms: LEAVE_MS }]);
  assert.deepEqual(heard(...open, { type: "tab_gone", tab: "b" }, events(message("wasp", 2))), []);
  assert.deepEqual(play(...open, { type: "tab_gone", tab: "b" }, OPEN).last, [{ do: "open", agents: "bee:1" }]);
  const { last, hub } = play(...open, { type: "tab_gone", tab: "b" }, { type: "leave", tab: "a", agent: "bee" });
  assert.deepEqual([last, hub.phase], [[{ do: "close" }], "idle"]);
  assert.deepEqual(play(...open, { type: "tab_gone", tab: "x" }).last, []);
});

test("an agent that is gone is told to its tabs, and the others go on", () => {
  const open = [join("a", "bee", 1), join("b", "wasp", 1), OPEN];
  const gone = events(named("gone", "wasp", { error: "there is no agent" }));
  assert.deepEqual(heard(...open, gone), ["b wasp: gone"]);
  assert.deepEqual(play(...open, gone, lost(1), OPEN).last, [{ do: "open", agents: "bee:1" }]);
});

test("a refusal is told to every tab, and ends the stream until one joins again", () => {
  const refused = [join("a", "bee", 1), join("b", "wasp", 1), OPEN, { type: "refused", reason: "no" }];
  assert.deepEqual(heard(...refused), ["a bee: refused", "b wasp: refused"]);
  assert.deepEqual(play(...refused, OPEN).last, []);
  assert.deepEqual(play(...refused, join("a", "bee", 1), OPEN).last, [{ do: "open", agents: "bee:1" }]);
});

for (const [name, damage] of [["is swept", "sweep"], ["is replaced", "replace"]]) {
  test(`in any order of what happens, each tab shows the newest events once, also if a history ${name}`, () => {
    let seed = 11;
    const random = (below) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    for (let round = 0; round < 400; round += 1) {
      const world = new Simulation();
      const agent = () => ["bee", "wasp"][random(2)];
      const tab = () => [...world.tabs.keys()][random(world.tabs.size)];
      const acts = [
        ...Array(4).fill(() => world.publish(agent())),
        ...Array(4).fill(() => world.flow(1 + random(4))),
        ...Array(4).fill(() => world.deliver(tab())),
        ...Array(4).fill(() => world.answer(tab())),
        () => world.tick(),
        () => world.tick(),
        () => world.older(tab()),
        () => world.tabs.size < 4 && world.openTab(agent()),
        () => world.tabs.size > 1 && random(3) === 0 && world.closeTab(tab()),
        () => random(2) === 0 && world.lose(),
        () => random(4) === 0 && world.replaceHub(),
        () => random(4) === 0 && world[damage](agent()),
      ];
      world.openTab("bee");
      for (let turn = 0; turn < 150; turn += 1) acts[random(acts.length)]();
      world.settle();
      for (const { agent: of, connection } of world.tabs.values()) {
        while (world.agents[of].last <= connection.last) world.publish(of); // a tab may learn of a replacement only now
      }
      world.settle();
      for (const [key, { agent: of, connection, shown }] of world.tabs) {
        const history = world.agents[of];
        const where = `round ${round}, ${key} of ${of}`;
        assert.equal(connection.phase, "live", where);
        const kept = shown.filter((one) => one.gap || one.seq >= (history.oldest ?? 0));
        const events = kept.filter((one) => !one.gap);
        const wanted = history.events.map(({ seq, ts }) => ({ seq, ts })).slice(history.events.length - events.length);
        assert.deepEqual(events, wanted, where);
        assert.ok(events.length >= Math.min(history.events.length, 1), where);
        if (damage === "replace") assert.equal(kept.length, events.length, `${where}: a gap`);
      }
    }
  });
}

// Texts on their way to the inbox, with a storage and a server of the test's own. `node --test`.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { RequestError } from "../../../hyperhive_cli/web/static/js/api.js";
import { RETRY_S } from "../../../hyperhive_cli/web/static/js/connection.js";
import { Outbox } from "../../../hyperhive_cli/web/static/js/outbox.js";
import { draftOf, keepDraft, sentBefore } from "../../../hyperhive_cli/web/static/js/typed.js";

class Storage {
  constructor() {
    this.map = new Map();
  }

  get length() {
    return this.map.size;
  }

  key(index) {
    return [...this.map.keys()][index] ?? null;
  }

  getItem(key) {
    return this.map.get(key) ?? null;
  }

  setItem(key, value) {
    this.map.set(key, String(value));
  }

  removeItem(key) {
    this.map.delete(key);
  }
}

/** An inbox that runs each key once. `fails` and `loses` say which of the next requests fail, before or after it is written. */
class Inbox {
  constructor() {
    this.messages = [];
    this.asked = 0;
    this.next = [];
  }

  api = (agent) => ({
    post: async (path, { body, key, at }) => {
      this.asked += 1;
      const trouble = this.next.shift();
      if (trouble && !trouble.isWritten) throw trouble.error;
      const known = this.messages.find((one) => one.key === key);
      if (!known) this.messages.push({ agent, path, body, key, at });
      if (trouble) throw trouble.error;
      return { id: this.messages.findIndex((one) => one.key === key) + 1, sent_before: Boolean(known) };
    },
  });

  get bodies() {
    return this.messages.map(({ body }) => body);
  }
}

const unreachable = (isWritten = false) => ({ error: new RequestError(0, "the server cannot be reached"), isWritten });

/** Web Locks: one at a time for each name, in the order of the requests. */
function locks() {
  const last = new Map();
  return (name, work) => {
    const done = (last.get(name) ?? Promise.resolve()).then(work);
    last.set(name, done.catch(() => {}));
    return done;
  };
}

const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
};

/** A tab's outbox; texts that an earlier page left are sent by `retryNow`, as at its start. */
function openTab(inbox, alone = locks()) {
  const box = new Outbox(inbox.api, alone);
  const changes = [];
  box.onChange((change) => changes.push(change));
  return { box, changes };
}

beforeEach((context) => {
  globalThis.localStorage = new Storage();
  globalThis.document = { documentElement: { dataset: {} } };
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
});

test("a text is pending until it is acknowledged, and then gone", async () => {
  const inbox = new Inbox();
  const { box, changes } = openTab(inbox);
  box.send("bee", "hello", { at: "+2h" });
  assert.deepEqual(box.pending("bee").map(({ text, at, reason }) => [text, at, reason]), [["hello", "+2h", ""]]);
  await settled();
  assert.deepEqual(box.pending("bee"), []);
  assert.deepEqual(inbox.messages.map(({ agent, path, body, at }) => [agent, path, body, at]), [["bee", "messages", "hello", "+2h"]]);
  assert.equal(changes.at(-1).sent.id, 1);
});

test("texts arrive in the order in which they were sent, each agent's for itself", async () => {
  const inbox = new Inbox();
  const { box } = openTab(inbox);
  inbox.next = [unreachable()];
  for (const text of ["one", "two", "three"]) box.send("bee", text);
  box.send("wasp", "other");
  await settled();
  assert.deepEqual(inbox.bodies, ["other"]);
  mock.timers.tick(RETRY_S[0] * 1000);
  await settled();
  assert.deepEqual(inbox.bodies, ["other", "one", "two", "three"]);
});

test("a text whose answer is lost runs once, also after a crash of the page", async () => {
  const inbox = new Inbox();
  inbox.next = [unreachable(true)];
  openTab(inbox).box.send("bee", "once");
  await settled();
  assert.equal(openTab(inbox).box.pending("bee").length, 1);
  const { box, changes } = openTab(inbox);
  box.retryNow();
  await settled();
  assert.deepEqual(inbox.bodies, ["once"]);
  assert.equal(inbox.asked, 2);
  assert.equal(changes.at(-1).sent.sent_before, true);
  assert.deepEqual(box.pending("bee"), []);
});

test("a text is tried again after longer and longer waits, and immediately if somebody wants it", async () => {
  const inbox = new Inbox();
  const { box } = openTab(inbox);
  inbox.next = [unreachable(), unreachable(), unreachable(), unreachable()];
  box.send("bee", "late");
  await settled();
  for (const seconds of RETRY_S.slice(0, 2)) {
    const [{ retryAt, reason }] = box.pending("bee");
    assert.deepEqual([retryAt - Date.now(), reason], [seconds * 1000, "the server cannot be reached"]);
    mock.timers.tick(seconds * 1000);
    await settled();
  }
  assert.equal(inbox.asked, 3);
  box.retryNow();
  await settled();
  assert.equal(inbox.asked, 4);
  box.retryNow();
  await settled();
  assert.deepEqual(inbox.bodies, ["late"]);
});

test("what the server refuses goes back into the draft with the reason, and what follows is sent", async () => {
  const inbox = new Inbox();
  const { box, changes } = openTab(inbox);
  inbox.next = [{ error: new RequestError(413, "too long", "send a file") }];
  box.send("bee", "refused");
  box.send("bee", "good");
  keepDraft("bee", "typing");
  await settled();
  assert.equal(draftOf("bee"), "refused\n\ntyping");
  assert.deepEqual(inbox.bodies, ["good"]);
  const [refused] = changes.filter((change) => change.refused);
  assert.deepEqual(refused, { agent: "bee", refused: { text: "refused", reason: "too long (send a file)" } });
});

for (const status of [401, 403, 408, 429, 500, 503]) {
  test(`a text is kept and tried again after a ${status}`, async () => {
    const inbox = new Inbox();
    const { box } = openTab(inbox);
    inbox.next = [{ error: new RequestError(status, "no") }];
    box.send("bee", "kept");
    await settled();
    assert.equal(box.pending("bee").length, 1);
    box.retryNow();
    await settled();
    assert.deepEqual(inbox.bodies, ["kept"]);
  });
}

test("two tabs send no text at the same time", async () => {
  const inbox = new Inbox();
  const alone = locks();
  const [one, other] = [openTab(inbox, alone).box, openTab(inbox, alone).box];
  one.send("bee", "first");
  other.retryNow();
  other.send("bee", "second");
  one.retryNow();
  await settled();
  assert.deepEqual(inbox.bodies, ["first", "second"]);
  assert.equal(inbox.asked, 2);
});

test("a text of last week is not sent without being asked: its key may be forgotten", async () => {
  const inbox = new Inbox();
  inbox.next = [unreachable(true)];
  openTab(inbox).box.send("bee", "old");
  await settled();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 + 7 * 24 * 3600 * 1000 });
  const { box, changes } = openTab(inbox);
  box.retryNow();
  await settled();
  assert.equal(inbox.asked, 1);
  assert.equal(draftOf("bee"), "old");
  assert.match(changes.at(-1).refused.reason, /may have run/u);
});

test("an entry that is no entry is left alone", async () => {
  const inbox = new Inbox();
  for (const [index, text] of ["", "null", "{}", "[1]", '"x"'].entries()) {
    localStorage.setItem(`hyperhive-outbox::bee/${index}`, text);
  }
  const { box } = openTab(inbox);
  box.retryNow();
  assert.deepEqual(box.pending("bee"), []);
  box.send("bee", "fine");
  await settled();
  assert.deepEqual(inbox.bodies, ["fine"]);
});

test("drafts and sent texts are kept for each agent, those of a login never", async () => {
  const { box } = openTab(new Inbox());
  keepDraft("bee", "half a");
  keepDraft("wasp", "other");
  assert.deepEqual([draftOf("bee"), draftOf("wasp")], ["half a", "other"]);
  keepDraft("bee", " /login abcdef");
  assert.equal(draftOf("bee"), "");
  for (const text of ["one", "two", "one", "x".repeat(30_000)]) box.send("bee", text);
  assert.deepEqual(sentBefore("bee"), ["one", "two"]);
  assert.deepEqual(sentBefore("wasp"), []);
  for (let index = 0; index < 30; index += 1) box.send("wasp", `text ${index}`);
  assert.equal(sentBefore("wasp").length, 20);
  await settled();
});

// The hub's stream on a real connection, to a server of the test's own. `node --test`.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, mock, test } from "node:test";
import { JOIN_MS } from "../../../hyperhive_cli/web/static/js/hub.js";
import { HubRunner, SILENCE_LIMIT_MS } from "../../../hyperhive_cli/web/static/js/hub_runner.js";

/** A queue that can be waited for. */
class Queue {
  constructor() {
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    const next = this.waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  }

  get() {
    return this.items.length ? Promise.resolve(this.items.shift()) : new Promise((found) => this.waiting.push(found));
  }
}

const requests = new Queue();
const server = createServer((request, response) => requests.put({ request, response }));
let told;
let runner;

mock.timers.enable({ apis: ["setTimeout"] });
before(() => new Promise((listening) => server.listen(0, "127.0.0.1", listening)));
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  runner?.close();
  told = new Queue();
  runner = new HubRunner((tab, message) => told.put({ tab, message }));
});

/** Join an agent, and return the request that follows. */
async function join(tab, agent, since) {
  const base = `http://127.0.0.1:${server.address().port}/api`;
  runner.take(tab, { type: "join", agent, since, ts: null, base, token: "secret" });
  mock.timers.tick(JOIN_MS);
  return requests.get();
}

const frame = (event, data) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

test("one request names every agent and carries the token; each tab hears of its own", async () => {
  await join("a", "bee", 3);
  const { request, response } = await join("b", "wasp", 4);
  assert.equal(request.url, "/api/stream?agents=bee:3,wasp:4&view=rows&partial=1");
  assert.equal(request.headers.authorization, "Bearer secret");
  response.write(frame("snapshot", { agent: "wasp", seq: 4 }) + frame("snapshot", { agent: "bee", seq: 3 }).slice(0, 20));
  assert.deepEqual(await told.get().then(({ tab, message: { type } }) => [tab, type]), ["b", "snapshot"]);
  response.write(frame("snapshot", { agent: "bee", seq: 3 }).slice(20));
  assert.deepEqual(await told.get().then(({ tab, message: { type } }) => [tab, type]), ["a", "snapshot"]);
});

test("a new request ends the one before", async () => {
  const first = await join("a", "bee", 3);
  const closed = new Promise((done) => first.response.on("close", done));
  await join("b", "bee", 1);
  await closed;
});

test("a stream that ends is lost, and tried again when somebody wants it", async () => {
  const { response } = await join("a", "bee", 3);
  response.end(frame("snapshot", { agent: "bee", seq: 3 }));
  await told.get();
  assert.deepEqual((await told.get()).message.reason, "the server ended the stream");
  runner.take("a", { type: "retry" });
  const { request } = await requests.get();
  assert.match(request.url, /bee:3/u);
  request.socket.destroy();
  assert.deepEqual((await told.get()).message.reason, "the connection was lost");
});

test("a server that says nothing for too long is lost, before its answer or after; a heartbeat is enough", async () => {
  const { response } = await join("a", "bee", 3);
  mock.timers.tick(SILENCE_LIMIT_MS);
  assert.deepEqual((await told.get()).message.reason, "the server does not answer");
  runner.take("a", { type: "retry" });
  const again = await requests.get();
  again.response.write(frame("snapshot", { agent: "bee", seq: 3 }));
  await told.get();
  mock.timers.tick(SILENCE_LIMIT_MS - 1);
  again.response.write(`: heartbeat\n\n${frame("state", { agent: "bee" })}`);
  await told.get();
  mock.timers.tick(SILENCE_LIMIT_MS - 1);
  again.response.write(frame("state", { agent: "bee" }));
  await told.get();
  mock.timers.tick(SILENCE_LIMIT_MS);
  assert.deepEqual((await told.get()).message.reason, "the server does not answer");
  response.end();
});

test("a token that the server does not accept is told, and nothing is tried again", async () => {
  const { response } = await join("a", "bee", 3);
  response.writeHead(401).end('{"error": "the token is missing or wrong"}');
  assert.deepEqual(await told.get(), {
    tab: "a",
    message: { type: "refused", reason: "the token is missing or wrong", agent: "bee" },
  });
  assert.equal(runner.hub.phase, "idle");
});

test("a server in trouble is lost, with its own words", async () => {
  const { response } = await join("a", "bee", 3);
  response.writeHead(503).end('{"error": "128 streams are open already"}');
  assert.deepEqual((await told.get()).message.reason, "128 streams are open already");
});

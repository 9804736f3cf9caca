// The page's pure modules: commands, frames, the agent's state, drafts, announcements. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { contextBadge } from "../../../hyperhive_cli/web/static/js/agent_state.js";
import { announcementsOf } from "../../../hyperhive_cli/web/static/js/announcements.js";
import { matching, read } from "../../../hyperhive_cli/web/static/js/commands.js";
import { fieldWords, pendingWords } from "../../../hyperhive_cli/web/static/js/composer_words.js";
import { initialConnection } from "../../../hyperhive_cli/web/static/js/connection.js";
import { Drafts } from "../../../hyperhive_cli/web/static/js/drafts.js";
import { money, span, when } from "../../../hyperhive_cli/web/static/js/figures.js";
import { nowOf } from "../../../hyperhive_cli/web/static/js/now.js";
import { budgetBars, chartsOf, fateOf, newestOf, outcomesWords, planBars } from "../../../hyperhive_cli/web/static/js/figures_of_turns.js";
import { heldForPlan, isEditable, metaOf, moved, reasonOf, replaced, sectionsOf, targetOf } from "../../../hyperhive_cli/web/static/js/queue.js";
import { FrameReader } from "../../../hyperhive_cli/web/static/js/sse.js";
import { newsOf, triaged } from "../../../hyperhive_cli/web/static/js/triage.js";
import { isOk, outcomeSign, setVocabulary, statusWords } from "../../../hyperhive_cli/web/static/js/vocabulary.js";

setVocabulary({
  outcomes: { ok: { tone: "ok", sign: "✓" }, stalled: { tone: "failure", sign: "✗" } },
  statuses: {
    online: { tone: "ok", words: "online" },
    paused: { tone: "warning", words: "paused" },
    needs_login_idle: { tone: "failure", words: "needs login" },
    rate_limited: { tone: "warning", words: "rate limited" },
    stopped: { tone: "neutral", words: "stopped" },
  },
});

const SSE =
  'event: snapshot\ndata: {"seq":1}\n\n: heartbeat\n\nid: 2\ndata: {"a":"é\u2028"}\r\n\r\ndata:one\ndata: two\n\nid: 3\n\ndata: rest';

test("frames are the same whole or in pieces, and an unfinished one waits", () => {
  const wanted = [
    { event: "snapshot", data: '{"seq":1}' },
    { event: "message", data: '{"a":"é\u2028"}' },
    { event: "message", data: "one\ntwo" },
  ];
  for (let size = 1; size <= SSE.length; size += 1) {
    const reader = new FrameReader();
    const found = [];
    for (let at = 0; at < SSE.length; at += size) found.push(...reader.push(SSE.slice(at, at + size)));
    assert.deepEqual(found, wanted, `in pieces of ${size}`);
    assert.deepEqual(reader.push("\n\n"), [{ event: "message", data: "rest" }]);
  }
});

test("a line that starts with a slash is a command or a mistake, never a message", () => {
  assert.deepEqual(read("hello"), { message: "hello" });
  assert.deepEqual(read("  hello\n/cancel "), { message: "  hello\n/cancel " });
  assert.deepEqual(read("//cancel"), { message: "/cancel" });
  assert.equal(read("/model  opus ").operation.body.model, "opus");
  assert.deepEqual(read("/budget 15").operation.body, { amount: 15 });
  assert.deepEqual([read("/budget"), read("/help ")], [{ local: "budget" }, { local: "help" }]);
  for (const name of ["/new", "/compact", "/cancel", "/pause", "/resume"])
    assert.deepEqual(read(name).operation.body, {});
  for (const typed of ["", "  ", "/", "/cancle", "/cancel now", "/model", "/model a b", "/constructor", "/budget x", "/login now"])
    assert.ok(read(typed).mistake, typed);
});

test("commands are suggested while their name is typed", () => {
  const names = (text) => matching(text).map(([name]) => name);
  assert.equal(names("/").length, 9);
  assert.deepEqual(names("/c"), ["/compact", "/cancel"]);
  assert.deepEqual([...names(""), ...names("//"), ...names("/model x"), ...names("x /c")], []);
});

test("the context's fill comes from the agent's own figures", () => {
  assert.equal(contextBadge({ context_tokens: null }).share, null);
  assert.deepEqual(contextBadge({ context_tokens: 76_000, context_window: 200_000 }), {
    share: 0.38,
    words: "38%",
    sizes: "76k of 200k",
    tone: "",
  });
  assert.deepEqual(
    [0.79, 0.8, 2].map((share) => contextBadge({ context_tokens: share * 1000, context_window: 1000 }).tone),
    ["", "warm", "full"],
  );
});

test("a draft grows until the finished line replaces it", () => {
  const drafts = new Drafts();
  const event = (fields, parent = null) =>
    drafts.observe({ ts: 5, kind: "stream", type: "stream_event", event: fields, parent_tool_use_id: parent });
  event({ type: "content_block_start", content_block: { type: "text" } });
  event({ type: "content_block_delta", delta: { type: "text_delta", text: "ab" } });
  event({ type: "content_block_delta", delta: { type: "text_delta", text: "c" } });
  assert.deepEqual(drafts.newest, { kind: "text", name: "", text: "abc", written: 3, since: 5 });
  event({ type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "{" } }, "sub");
  assert.equal(drafts.newest.kind, "tool_use");
  drafts.observe({ kind: "stream", type: "assistant", parent_tool_use_id: "sub" });
  assert.equal(drafts.newest.text, "abc");
  drafts.observe({ kind: "turn_end" });
  assert.equal(drafts.newest, null);
});

const NOON = new Date(2026, 10, 25, 12, 0, 0).getTime(); // a Wednesday
const LIVE = { ...initialConnection(), phase: "live" };
const shown = (state, connection = LIVE) => nowOf({ running: true, state: "idle", ...state }, connection, NOON);

test("the now bar says what is wrong with the connection, since when, and when the next attempt is", () => {
  const lost = { ...initialConnection(), phase: "reconnecting", liveAt: NOON - 9000, lostAt: NOON - 5000, retryAt: NOON + 3500 };
  const words = (fields) => {
    const { title, soft, facts, wash } = shown({ status: "online" }, { ...lost, ...fields });
    return [title, soft, facts, wash];
  };
  const from = "What you see is from 11:59";
  assert.deepEqual(words({}), ["Disconnected from the panel’s server", "trying again in 4 s", from, "stale"]);
  assert.deepEqual(words({ reason: "the server fell silent" })[0], "The server fell silent");
  assert.deepEqual(words({ phase: "connecting" })[1], "trying again");
  assert.equal(words({ phase: "live" })[0], "Idle");
  assert.equal(words({ lostAt: NOON - 100 })[0], "Idle", "a short loss is not shown");
  assert.deepEqual(words({ phase: "refused", reason: "wrong token" }).slice(0, 2), ["No access", "wrong token"]);
  assert.equal(nowOf({}, initialConnection(), NOON).title, "Connecting");
});

test("each state has its words, its mark, its wash and one way out", () => {
  const of = (state) => {
    const { mark, title, soft = "", facts = "", wash = "", actions = [] } = shown(state);
    return [mark, wash, title, soft, facts, actions.map((one) => one.label).join(", ")];
  };
  const until = NOON / 1000 + 4320;
  const today = { cost_usd: 10.04, limit_usd: 10 };
  const tool = { doing: "tool", tool: "Bash", argument: "pytest -q", since: NOON - 42_000, tools_running: 2 };
  const rows = [
    [{ status: "online" }, ["idle", "", "Idle", "", "No turn yet", ""]],
    [
      { status: "online", last_turn: {}, since_unix: NOON / 1000 - 720, next_due: NOON + 4e7 },
      ["idle", "", "Idle", "12 min", "Next at 23:06", ""],
    ],
    [
      { status: "online", state: "thinking", activity: tool, since_unix: NOON / 1000 - 200 },
      ["running", "", "Bash +1", "", "This turn · 3:20", "Cancel turn"],
    ],
    [{ status: "paused", unread: 3 }, ["paused", "", "Paused", "", "3 messages wait and run when you resume", ""]],
    [
      { status: "retrying", state: "thinking", why: "attempt 6 of 10: no connection", waits_until: NOON / 1000 + 24 },
      ["wait", "", "No connection", "retry 6 of 10 in 0:24", "The turn is kept", "Cancel turn"],
    ],
    [
      { status: "rate_limited", waits_until: until, unread: 1 },
      ["wait", "", "Rate limited until 13:12", "1 h 12 min", "1 message waits", "Try now"],
    ],
    [
      { status: "over_budget", budget: { today } },
      ["need", "need", "Today’s budget is used up", "$10.04 of $10", "Goes on at midnight", "Raise to $15, Other…"],
    ],
    [
      { status: "needs_login_idle", unread: 1 },
      ["need", "need", "Needs login", "", "1 message waits and runs once you log in", "Log in"],
    ],
    [{ status: "failed", why: "claude was not found" }, ["failed", "failed", "Failed: claude was not found", "", "", "Try again"]],
    [{ running: false, status: "stopped" }, ["stopped", "", "Stopped", "", "Messages are kept and run at the next start", ""]],
    [{ status: "a_new_one", why: "so" }, ["wait", "", "A new one", "", "so", ""]],
  ];
  for (const [state, wanted] of rows) assert.deepEqual(of(state), wanted);
});

test("the field says when a message is read, its place in line, and what has become of one", () => {
  const words = (state, isLive = true) => Object.values(fieldWords("bee", { running: true, state: "idle", ...state }, isLive));
  assert.deepEqual(words({ status: "online" }), ["Message bee", "Send", ""]);
  assert.deepEqual(words({ state: "thinking", unread: 0 }), ["Message bee", "Queue", "Runs after this turn"]);
  assert.deepEqual(words({ state: "thinking", unread: 3 })[2], "Runs after this turn, 4th in line");
  assert.deepEqual(words({ state: "thinking", unread: 3, queued: 1 })[2], "Runs after this turn, 2nd in line");
  assert.deepEqual([words({ unread: 10 })[2], words({ unread: 21 })[2]], ["11th in line", "22nd in line"]);
  assert.deepEqual(words({ paused: true })[0], "Message bee: it is read after you resume");
  assert.deepEqual(words({ running: false }), [
    "Message bee: it is read at the next start",
    "Send",
    "Kept in the inbox until bee starts",
  ]);
  assert.match(words({}, false)[0], /sent when the server is back/u);
  const one = { key: "k", agent: "bee", text: "hi", at: null, made: NOON, reason: "", retryAt: 0 };
  assert.deepEqual(pendingWords([], NOON), "");
  assert.equal(pendingWords([one], NOON + 100), "Sending…");
  assert.equal(pendingWords([one], NOON + 4000), "No answer for 4 s, still trying");
  const failed = { ...one, reason: "the server cannot be reached", retryAt: NOON + 4000 };
  assert.equal(pendingWords([failed, one], NOON), "2 messages: Not sent yet, the server cannot be reached; trying again in 4 s");
});

test("agents that need someone come first, the longest waiting before the others", () => {
  const agent = (name, state) => ({ agent: name, running: true, status: "online", state: "idle", ...state });
  const agents = [
    agent("idle", { last_turn: {} }),
    agent("later", { status: "needs_login_idle", last_event: { ts: 200 } }),
    agent("busy", { state: "thinking", since_unix: 5 }),
    agent("first", { status: "failed", last_event: { ts: 100 } }),
    agent("limited", { status: "rate_limited" }),
    agent("gone", { running: false, status: "stopped" }),
  ];
  const order = triaged(agents, NOON).map(({ agent: name, group }) => `${name} ${group}`);
  assert.deepEqual(order, ["first needs", "later needs", "busy running", "limited waiting", "gone quiet", "idle quiet"]);
  const [idle, , busy] = agents;
  const done = { ...busy, state: "idle", unread: 0, last_turn: { turn_id: 2, outcome: "ok" } };
  assert.equal(newsOf(undefined, idle, NOON), null);
  assert.equal(newsOf(idle, idle, NOON), null);
  assert.deepEqual(newsOf(idle, { ...idle, status: "needs_login_idle" }, NOON), { kind: "needs", words: "Needs login" });
  assert.equal(newsOf(busy, done, NOON).kind, "idle");
  const failed = { ...done, last_turn: { turn_id: 2, outcome: "stalled" } };
  assert.deepEqual(newsOf(busy, failed, NOON), { kind: "failed", words: "Turn 2: stalled" });
});

test("times, spans and money are said as people say them", () => {
  assert.deepEqual([0, 59, 720, 3600, 4320, 90_000, 200_000].map(span), ["0 s", "59 s", "12 min", "1 h", "1 h 12 min", "1 day", "2 days"]);
  const at = (...day) => when(new Date(2026, ...day).getTime(), NOON);
  assert.deepEqual(
    [at(10, 25, 9, 5), at(10, 23, 9, 0), at(10, 2), at(10, 26, 8, 0)],
    ["09:05", "Mon 09:00", "2 November", "Thu 08:00"],
  );
  assert.equal(when(Number.NaN, NOON), "");
  assert.deepEqual([0, null, 0.001, 0.18, 10, 10.04, 1234.5].map(money), ["$0", "$0", "<$0.01", "$0.18", "$10", "$10.04", "$1,234.50"]);
});

test("outcomes and statuses have the gateway's words; an unknown one is shown as a failure, or as it is", () => {
  assert.deepEqual(outcomeSign("ok"), ["✓", "fine"]);
  assert.deepEqual(outcomeSign("ok", 2), ["✓", "warn"]);
  assert.deepEqual(outcomeSign("stalled"), ["✗", "bad"]);
  for (const word of ["a_new_one", "constructor", null]) assert.deepEqual(outcomeSign(word), ["✗", "bad"]);
  assert.deepEqual([isOk("ok"), isOk("stalled"), isOk("constructor")], [true, false, false]);
  assert.deepEqual(statusWords("needs_login_idle"), ["needs login", "bad"]);
  assert.deepEqual(statusWords("a_new_one"), ["a new one", "quiet"]);
});

test("turns and what needs a person are announced, rows in between are not", () => {
  const text = (words) => ({ text: words, cut: 0, spans: null });
  const record = (...rows) => ({ kind: "stream", rows });
  assert.deepEqual(announcementsOf(record({ kind: "head", sender: "ann" })), ["Turn started, message from ann"]);
  assert.deepEqual(announcementsOf(record({ kind: "foot", word: "ok", remarks: ["2 denied"] })), [
    "Turn ended: ok, 2 denied",
  ]);
  const note = { kind: "note", topic: "note", tone: "warn", text: text("the disk is full") };
  assert.deepEqual(announcementsOf(record(note, { ...note, tone: "quiet" }, { ...note, topic: "claude" })), [
    "the disk is full",
  ]);
  assert.deepEqual(announcementsOf(record({ kind: "text", text: "hello" }, { kind: "call" })), []);
  assert.deepEqual(announcementsOf({ kind: "status_changed", facts: { status: "paused" }, rows: [{ kind: "note" }] }), [
    "Agent paused",
  ]);
  assert.deepEqual(announcementsOf({ kind: "stream", type: "stream_event" }), []);
});

test("the inbox is sorted into what waits, is scheduled, needs a person and failed", () => {
  const now = 1_000_000;
  const message = (id, state, more = {}) => ({ id, state, sender: "ci", body: "x", not_before: 0, deliveries: 0, created: now - 240_000, ...more });
  const parts = sectionsOf(
    [
      message(1, "leased"),
      message(4, "ready"),
      message(2, "ready", { not_before: now + 9_000 }),
      message(3, "ready", { not_before: now + 5_000 }),
      message(5, "ready", { not_before: now + 24_000, deliveries: 1 }),
      message(6, "held", { deliveries: 1 }),
      message(7, "dead", { deliveries: 3, reason: "it crashed" }),
      message(8, "ready", { not_before: now - 5_000, edited: 1 }),
    ],
    now,
  );
  const ids = Object.fromEntries(Object.entries(parts).map(([name, all]) => [name, all.map(({ id }) => id)]));
  assert.deepEqual(ids, { needs: [6], waiting: [4, 5, 8], scheduled: [3, 2], dead: [7] });
  const [plain, again, edited] = parts.waiting.map((one) => metaOf(one, "waiting", now));
  assert.deepEqual([plain, again, edited], ["ci #4 · 4 min", "ci #5 · 2nd try in 0:24", "ci #8 · 4 min · edited"]);
  assert.equal(metaOf(parts.dead[0], "dead", now), "ci #7 · 3 tries");
  assert.equal(reasonOf(parts.dead[0]), "it crashed");
  assert.deepEqual(parts.waiting.map(isEditable), [true, false, true]);
});

test("a message is moved before the one that takes the place behind it", () => {
  const messages = [1, 2, 3, 4].map((id) => ({ id }));
  for (const [id, place, before] of [[3, 0, 1], [1, 1, 3], [1, 3, null], [4, 9, undefined], [1, -1, undefined], [2, 1, undefined]]) {
    assert.equal(targetOf([1, 2, 3, 4], id, place), before);
    if (before !== undefined) assert.equal(moved(messages, id, before).findIndex((one) => one.id === id), place);
  }
  assert.deepEqual(replaced([{ id: 1, body: "a", cut: true }], { id: 1, body: "b" }), [{ id: 1, body: "b", cut: false }]);
});

test("a bar of the strip says by its height what became of a turn", () => {
  const turns = [{ outcome: "ok" }, { outcome: "ok", denied: 2 }, { outcome: "stalled" }, { outcome: "new" }];
  assert.deepEqual(turns.map(fateOf), ["ok", "waited", "failed", "failed"]);
  assert.equal(outcomesWords(turns), "Outcomes: 1 ok, 2 failed, 1 waited");
});

test("a chart without a value says so, and another shows its newest one", () => {
  const turn = { input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 0, cost_usd: 0.18, context_tokens: null };
  const [context, dollars, input, output] = chartsOf([turn, { ...turn, cost_usd: null }]);
  assert.deepEqual(newestOf(context), { at: -1, value: null });
  assert.deepEqual(newestOf(dollars), { at: 0, value: 0.18 });
  assert.deepEqual([input.title, input.values], ["Tokens in, 90 % cached", [100, 100]]);
  assert.deepEqual([newestOf(output).value, output.none], [null, "None yet"]);
});

test("a budget is a bar for each limit, and figures without one", () => {
  const budget = { limits: { day_cost: 10, turn_tokens: 1000 }, today: { cost_usd: 10.04, limit_usd: 10 }, turn: { tokens: 250 } };
  const words = ({ name, used, rest, share }) => [name, used, rest, share];
  assert.deepEqual(budgetBars({ budget, today: { input_tokens: 3_100_000 } }).map(words), [
    ["Today", "$10.04", " of $10", 1],
    ["Tokens of this turn", "250", " of 1k", 0.25],
    ["Tokens today", "3.1M", "", null],
  ]);
  assert.deepEqual(budgetBars({ today: { cost_usd: 4.12 } }).map(words)[0], ["Today", "$4.12", "", null]);
});

test("a plan is a bar for each window that has not reset, with what the pace leads to", () => {
  const now = new Date(2026, 10, 23, 16, 0).getTime();
  const at = (/** @type {number} */ minutes) => now / 1000 + minutes * 60;
  const five = { window: "five_hour", name: "5h", used: 0.62, resets_at: at(130), reserved: 0.2 };
  const week = { window: "seven_day", name: "week", used: 0.4, resets_at: at(3 * 1440), reserved: null };
  const words = (/** @type {Record<string, any>} */ forecast) => planBars({ quota: [{ ...five, forecast }] }, now)[0].more;
  const [first, second] = planBars({ quota: [{ ...five, forecast: null }, { ...week, forecast: null }] }, now);
  assert.deepEqual([first.name, first.used, first.rest, first.share], ["Plan, 5 hours", "62 %", " · resets 18:10", 0.62]);
  assert.deepEqual([second.name, second.rest, second.more], ["Plan, week", " · resets Thu 16:00", ""]);
  assert.equal(words(null), "20 % reserved");
  assert.equal(words({ low: 0.71, high: 0.84, full_from: null, full_until: null }), "At this pace 71 to 84 % at the reset · 20 % reserved");
  assert.equal(words({ low: 0.9, high: 1.2, full_from: at(60), full_until: null }), "At this pace used up at 17:00 at the earliest · 20 % reserved");
  assert.equal(words({ low: 1.1, high: 1.2, full_from: at(60), full_until: at(75) }), "At this pace used up between 17:00 and 17:15 · 20 % reserved");
  assert.deepEqual(planBars({ quota: [{ ...five, resets_at: at(-1) }] }, now), []);
  assert.deepEqual(planBars({}, now), []);
});

test("idle messages wait for the plan among those that are scheduled, and others pass them", () => {
  const now = 1_000_000;
  const messages = [{ id: 1, state: "ready", idle: true, not_before: 0, deliveries: 1 }, { id: 2, state: "ready", not_before: 0 }];
  const parts = sectionsOf(heldForPlan(messages, 2_000), now);
  assert.deepEqual([parts.scheduled.map(({ id }) => id), parts.waiting.map(({ id }) => id)], [[1], [2]]);
  assert.match(metaOf(parts.scheduled[0], "scheduled", now), / #1 · waits for the plan$/u);
  assert.deepEqual(sectionsOf(heldForPlan(messages, null), now).waiting.map(({ id }) => id), [1, 2]);
});

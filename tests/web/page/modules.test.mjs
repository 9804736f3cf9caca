// The page's pure modules: commands, frames, the agent's state, drafts, announcements. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { contextBadge, statusBadge, turnState } from "../../../hyperhive_cli/web/static/js/agent_state.js";
import { announcementsOf } from "../../../hyperhive_cli/web/static/js/announcements.js";
import { connectionWords } from "../../../hyperhive_cli/web/static/js/banner.js";
import { matching, read } from "../../../hyperhive_cli/web/static/js/commands.js";
import { initialConnection } from "../../../hyperhive_cli/web/static/js/connection.js";
import { Drafts } from "../../../hyperhive_cli/web/static/js/drafts.js";
import { FrameReader } from "../../../hyperhive_cli/web/static/js/sse.js";
import { lineRanges } from "../../../hyperhive_cli/web/static/js/text.js";
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
  for (const name of ["/new", "/compact", "/cancel", "/pause", "/resume"])
    assert.deepEqual(read(name).operation.body, {});
  for (const typed of ["", "  ", "/", "/cancle", "/cancel now", "/model", "/model a b", "/constructor"])
    assert.ok(read(typed).mistake, typed);
});

test("commands are suggested while their name is typed", () => {
  const names = (text) => matching(text).map(([name]) => name);
  assert.equal(names("/").length, 6);
  assert.deepEqual(names("/c"), ["/compact", "/cancel"]);
  assert.deepEqual([...names(""), ...names("//"), ...names("/model x"), ...names("x /c")], []);
});

test("the status badge says no more than is known", () => {
  const live = { running: true, status: "online" };
  const words = (state, phase = "live") => statusBadge(state, phase, 1000).words;
  assert.equal(words({}, "connecting"), "connecting");
  assert.equal(words(live), "online");
  assert.equal(words(live, "reconnecting"), "reconnecting");
  assert.equal(words(live, "connecting"), "reconnecting"); // a try that has no answer yet
  assert.equal(words(live, "refused"), "no access");
  assert.equal(words({ ...live, running: false }), "stopped");
  assert.equal(words({ ...live, status: "paused" }), "paused");
  assert.equal(words({ ...live, status: "needs_login_idle" }), "needs login");
  assert.equal(words({ ...live, status: "some_new_one" }), "some new one");
  const limited = { ...live, status: "rate_limited", waits_until: 1090 };
  assert.equal(statusBadge(limited, "live", 1000).countdown, "1:30");
  assert.equal(statusBadge(limited, "live", 2000).countdown, "");
});

test("the turn's clock and the context's fill come from the agent's own figures", () => {
  assert.deepEqual(turnState({ running: true, state: "thinking", since_unix: 100 }, 165), {
    state: "thinking",
    doing: "",
    elapsed: "1:05",
  });
  assert.deepEqual(turnState({ running: false, state: "thinking", since_unix: 100 }, 165), {
    state: "",
    doing: "",
    elapsed: "",
  });
  assert.deepEqual(turnState({}, 1), { state: "", doing: "", elapsed: "" });
  assert.equal(contextBadge({ context_tokens: null }).share, null);
  assert.deepEqual(contextBadge({ context_tokens: 76_000, context_window: 200_000 }), {
    share: 0.38,
    words: "38%",
    sizes: "76k / 200k",
    tone: "fine",
  });
  assert.deepEqual(
    [0.7, 0.9, 2].map((share) => contextBadge({ context_tokens: share * 1000, context_window: 1000 }).tone),
    ["warn", "bad", "bad"],
  );
});

test("a draft grows until the finished line replaces it", () => {
  const drafts = new Drafts();
  const event = (fields, parent = null) =>
    drafts.observe({ kind: "stream", type: "stream_event", event: fields, parent_tool_use_id: parent });
  event({ type: "content_block_start", content_block: { type: "text" } });
  event({ type: "content_block_delta", delta: { type: "text_delta", text: "ab" } });
  event({ type: "content_block_delta", delta: { type: "text_delta", text: "c" } });
  assert.deepEqual(drafts.newest, { kind: "text", name: "", text: "abc", written: 3 });
  event({ type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "{" } }, "sub");
  assert.equal(drafts.newest.kind, "tool_use");
  drafts.observe({ kind: "stream", type: "assistant", parent_tool_use_id: "sub" });
  assert.equal(drafts.newest.text, "abc");
  drafts.observe({ kind: "turn_end" });
  assert.equal(drafts.newest, null);
});

test("the banner says what is wrong, since when, and when the next attempt is", () => {
  const at = new Date(2026, 10, 25, 9, 5, 7).getTime();
  const lost = {
    ...initialConnection(),
    phase: "reconnecting",
    known: true,
    reason: "the server fell silent",
    lostAt: at,
    retryAt: at + 3500,
  };
  assert.equal(
    connectionWords(lost, at),
    "Not connected: the server fell silent. Next try in 4 s. What is shown ends at 09:05:07.",
  );
  assert.equal(
    connectionWords({ ...lost, phase: "connecting" }, at),
    "Reconnecting. What is shown ends at 09:05:07.",
  );
  assert.equal(connectionWords({ ...lost, phase: "live" }, at), "");
  assert.equal(connectionWords(initialConnection(), at), "");
  assert.match(connectionWords({ ...lost, phase: "refused", reason: "wrong token" }, at), /^No access: wrong token/u);
});

test("the turn's activity replaces its state, with its own clock", () => {
  const doing = (activity) => {
    const { doing: words, elapsed } = turnState({ running: true, state: "thinking", activity }, 60);
    return `${words} ${elapsed}`;
  };
  const tool = { doing: "tool", tool: "Bash", argument: "make", since: 3000, tools_running: 1 };
  assert.equal(doing(tool), "Bash make 0:57");
  assert.equal(doing({ ...tool, tools_running: 2 }), "Bash make (+1) 0:57");
  assert.equal(doing({ doing: "writing", tool: null, argument: null, since: 2000, tools_running: 0 }), "writing 0:58");
  assert.equal(turnState({ running: true, state: "idle", activity: tool }, 60).doing, "");
  assert.equal(turnState({ running: true, state: "thinking", activity: null }, 60).doing, "");
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

test("the first lines of a text are found without copying it", () => {
  const lines = (text, limit) => {
    const { ranges, more } = lineRanges(text, limit);
    return [ranges.map(([start, end]) => text.slice(start, end)), more];
  };
  assert.deepEqual(lines("", 3), [[], 0]);
  assert.deepEqual(lines("\n\n \n", 3), [[], 0]);
  assert.deepEqual(lines("\na\n\nb \n", 3), [["a", "", "b"], 0]);
  assert.deepEqual(lines("1\n2\n3\n4", 3), [["1", "2", "3", "4"], 0]);
  assert.deepEqual(lines("1\n2\n3\n4\n5", 3), [["1", "2", "3"], 2]);
});

// The page's pure modules: commands, frames, facts, tools, drafts, transcript. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { connectionWords } from "../../../hyperhive_cli/web/static/js/banner.js";
import { matching, read } from "../../../hyperhive_cli/web/static/js/commands.js";
import { unconnected } from "../../../hyperhive_cli/web/static/js/connection.js";
import { Drafts } from "../../../hyperhive_cli/web/static/js/drafts.js";
import { aliveBadge, contextBadge, observe, turnState } from "../../../hyperhive_cli/web/static/js/facts.js";
import { Memory } from "../../../hyperhive_cli/web/static/js/memory.js";
import { FrameReader } from "../../../hyperhive_cli/web/static/js/sse.js";
import { askedPatch, inputText } from "../../../hyperhive_cli/web/static/js/tool.js";
import { eventToRows } from "../../../hyperhive_cli/web/static/js/transcript.js";

const SSE =
  'event: snapshot\ndata: {"seq":1}\n\n: heartbeat\n\nid: 2\ndata: {"a":"é\u2028"}\r\n\r\ndata:one\ndata: two\n\nid: 3\n\ndata: rest';

test("frames are the same, whole or in pieces, and what is unfinished waits", () => {
  const wanted = [
    { event: "snapshot", id: null, data: '{"seq":1}' },
    { event: "message", id: "2", data: '{"a":"é\u2028"}' },
    { event: "message", id: null, data: "one\ntwo" },
  ];
  for (let size = 1; size <= SSE.length; size += 1) {
    const reader = new FrameReader();
    const found = [];
    for (let at = 0; at < SSE.length; at += size) found.push(...reader.push(SSE.slice(at, at + size)));
    assert.deepEqual(found, wanted, `in pieces of ${size}`);
    assert.deepEqual(reader.push("\n\n"), [{ event: "message", id: null, data: "rest" }]);
  }
});

test("a line that begins with a slash is a command or a mistake, never a message", () => {
  assert.deepEqual(read("hello"), { message: "hello" });
  assert.deepEqual(read("  hello\n/cancel "), { message: "  hello\n/cancel " });
  assert.deepEqual(read("//cancel"), { message: "/cancel" });
  assert.equal(read("/model  opus ").operation.body.model, "opus");
  for (const name of ["/new", "/compact", "/cancel", "/pause", "/resume"])
    assert.deepEqual(read(name).operation.body, {});
  for (const typed of ["", "  ", "/", "/cancle", "/cancel now", "/model", "/model a b", "/constructor"])
    assert.ok(read(typed).mistake, typed);
});

test("commands are proposed while their name is typed", () => {
  const names = (text) => matching(text).map(([name]) => name);
  assert.equal(names("/").length, 6);
  assert.deepEqual(names("/c"), ["/compact", "/cancel"]);
  assert.deepEqual([...names(""), ...names("//"), ...names("/model x"), ...names("x /c")], []);
});

test("the alive badge says no more than is known", () => {
  const live = { running: true, status: "online" };
  const words = (facts, phase = "live") => aliveBadge(facts, phase, 1000).words;
  assert.equal(words(null, "connecting"), "connecting");
  assert.equal(words(live), "online");
  assert.equal(words(live, "reconnecting"), "reconnecting");
  assert.equal(words(live, "refused"), "no access");
  assert.equal(words({ ...live, running: false }), "stopped");
  assert.equal(words({ ...live, status: "paused" }), "paused");
  assert.equal(words({ ...live, status: "needs_login_idle" }), "needs login");
  assert.equal(words({ ...live, status: "some_new_one" }), "some new one");
  const limited = { ...live, status: "rate_limited", waits_until: 1090 };
  assert.equal(aliveBadge(limited, "live", 1000).countdown, "1:30");
  assert.equal(aliveBadge(limited, "live", 2000).countdown, "");
});

test("what a turn is doing is said as in the terminal", () => {
  const call = (/** @type {string} */ id, /** @type {string} */ command) => ({
    kind: "stream",
    type: "assistant",
    message: { content: [{ type: "tool_use", id, name: "Bash", input: { command } }] },
  });
  const says = (/** @type {string} */ type) => ({ kind: "stream", type: "assistant", message: { content: [{ type }] } });
  const answer = (/** @type {string} */ id) => ({
    kind: "stream",
    type: "user",
    message: { content: [{ type: "tool_result", tool_use_id: id }] },
  });
  const task = { kind: "stream", type: "system", subtype: "background_tasks_changed", tasks: [{}] };
  const result = { kind: "stream", type: "result" };
  /** @param {...Record<string, any>} events one a second from second 1 on @returns {string} */
  const doing = (...events) => {
    /** @type {Record<string, any>} */
    let facts = { running: true, state: "thinking" };
    events.forEach((event, index) => (facts = observe(facts, { ...event, ts: (index + 1) * 1000 })));
    const { doing: words, elapsed } = turnState(facts, 60);
    return words ? `${words} ${elapsed}` : "";
  };
  const start = { kind: "turn_start" };
  assert.equal(doing(), "");
  assert.equal(doing(start), "thinking 0:59");
  assert.equal(doing(start, says("text")), "writing 0:58");
  assert.equal(doing(start, call("a", "pytest -q"), call("b", "make")), "Bash pytest -q (+1) 0:58");
  assert.equal(doing(start, call("a", "pytest -q"), call("b", "make"), answer("a")), "Bash make 0:57");
  assert.equal(doing(start, task, result), "waiting for background work 0:57");
  assert.equal(doing(start, call("a", "x"), { kind: "turn_end" }), "");
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
  assert.deepEqual(turnState(null, 1), { state: "", doing: "", elapsed: "" });
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

test("events change the facts, and a subagent's context is not the agent's", () => {
  const usage = { input_tokens: 1, cache_read_input_tokens: 20, cache_creation_input_tokens: 300, output_tokens: 9 };
  const line = { kind: "stream", type: "assistant", message: { usage } };
  assert.equal(observe({}, line).context_tokens, 321);
  assert.equal(observe({ context_tokens: 5 }, { ...line, parent_tool_use_id: "x" }).context_tokens, 5);
  assert.equal(
    observe({}, { kind: "stream", type: "system", subtype: "compact_boundary", compact_metadata: { post_tokens: 7 } })
      .context_tokens,
    7,
  );
  assert.equal(
    observe({ waits_until: 9 }, { kind: "status_changed", status: "online", until_unix: null }).waits_until,
    null,
  );
  assert.equal(
    observe({ context_window: 5 }, { kind: "token_usage_changed", usage: {}, context_tokens: 1 }).context_window,
    5,
  );
});

test("the change that an edit asks for has its common ends as context", () => {
  const [hunk] = askedPatch({ old_string: "a\nb\nc\nd", new_string: "a\nb\nX\nd" });
  assert.deepEqual(hunk.lines, [" b", "-c", "+X", " d"]);
  assert.deepEqual(askedPatch({ old_string: "same", new_string: "same" })[0].lines, [" same"]);
  assert.deepEqual(askedPatch({ edits: [{ old_string: "", new_string: "x" }, {}] })[0].lines, ["-", "+x"]);
  assert.deepEqual([askedPatch(null), askedPatch("text"), askedPatch({ old_string: 1 })], [[], [], []]);
});

test("a call unfolds to its command, or to its input as JSON", () => {
  assert.equal(inputText({ command: "ls", description: "look" }), "# look\nls");
  assert.equal(inputText({ a: 1 }), '{\n  "a": 1\n}');
  assert.equal(inputText(null), "null");
});

test("a draft grows, and a finished line takes its place", () => {
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

test("whatever shape an event has, it gives rows and never throws", () => {
  const odd = [undefined, null, 0, -1, 1e400, "", "x", [], [null, 1, "x", {}], {}, { type: "text" }, true];
  const kinds = [
    "turn_start",
    "turn_end",
    "note",
    "status_changed",
    "model_changed",
    "turn_state_changed",
    "token_usage_changed",
    "other",
    undefined,
  ];
  for (const value of odd) {
    for (const kind of kinds) {
      const fields = Object.fromEntries(
        [
          ...["from", "body", "ts", "text", "note", "outcome", "usage", "status", "model", "message_id"],
          ...["denied", "message_state"],
        ].map((name) => [name, value]),
      );
      for (const row of eventToRows({ kind, ...fields }, new Memory()))
        assert.doesNotMatch(JSON.stringify(row), /not readable/u);
    }
    for (const type of ["assistant", "user", "result", "system", "rate_limit_event", "stream_event", value]) {
      const block = { type: "tool_result", content: value, tool_use_id: value };
      for (const content of [value, [value], [block], [{ type: "tool_use", input: value, name: value, id: value }]]) {
        const line = {
          kind: "stream",
          type,
          subtype: value,
          message: { content },
          error: value,
          result: value,
          errors: value,
          tool_use_result: value,
        };
        for (const row of eventToRows(line, new Memory()))
          assert.doesNotMatch(JSON.stringify(row), /not readable/u, JSON.stringify(line));
      }
    }
  }
});

test("a result does not repeat the text before it, and another turn may", () => {
  const memory = new Memory();
  const said = (event) => eventToRows(event, memory).map((row) => row.text);
  const text = { kind: "stream", type: "assistant", message: { content: [{ type: "text", text: "done\n" }] } };
  const result = { kind: "stream", type: "result", result: "done" };
  assert.deepEqual([...said(text), ...said(result)], ["done\n"]);
  eventToRows({ kind: "turn_start" }, memory);
  assert.deepEqual(said(result), ["done"]);
});

test("what claude says beside its answer is shown once a turn, whole and cleaned", () => {
  const memory = new Memory();
  const rows = (line) => eventToRows({ kind: "stream", ...line }, memory).map(({ mark, tone, text }) => [mark, tone, text]);
  const novelty = { type: "system", subtype: "novelty", content: "one\n\u001b[31mtwo" };
  assert.deepEqual(rows(novelty), [["·", "quiet", "system/novelty: one\n\\x1b[31mtwo"]]);
  assert.deepEqual(rows(novelty), []);
  const words = "Stop hook feedback:\n[check.sh]: run the tests";
  const feedback = { type: "user", message: { content: [{ type: "text", text: words }] } };
  assert.deepEqual(rows(feedback), [["!", "warn", words]]);
  const blocked = { type: "system", subtype: "informational", content: "not on Sundays", prevent_continuation: true };
  assert.deepEqual(rows(blocked), [["✗", "bad", "not on Sundays"]]);
  assert.deepEqual(rows({ type: "result", is_error: false, result: "not on Sundays" }), []);
  const poem = { type: "assistant", message: { content: [{ type: "poem", text: "a rose" }] } };
  assert.deepEqual(rows(poem), [["·", "quiet", "assistant/poem: a rose"]]);
});

test("a compaction that failed says why once", () => {
  const memory = new Memory();
  const rows = (line) => eventToRows({ kind: "stream", ...line }, memory).map((row) => row.text);
  const status = { type: "system", subtype: "status", compact_result: "failed", compact_error: "API Error: 400" };
  const text = { type: "assistant", message: { model: "<synthetic>", content: [{ type: "text", text: "API Error: 400" }] } };
  assert.deepEqual([...rows(status), ...rows(text)], ["API Error: 400"]);
});

test("a tool of the API is a call with its answer", () => {
  const memory = new Memory();
  const [call] = eventToRows(
    {
      kind: "stream",
      type: "assistant",
      message: { content: [{ type: "server_tool_use", id: "s1", name: "web_search", input: { query: "bees" } }] },
    },
    memory,
  );
  const [answer] = eventToRows(
    {
      kind: "stream",
      type: "assistant",
      message: { content: [{ type: "web_search_tool_result", tool_use_id: "s1", content: [{ title: "B", url: "u" }] }] },
    },
    memory,
  );
  assert.deepEqual([call.kind, call.name, call.subject], ["call", "web_search", "bees"]);
  assert.deepEqual([answer.kind, answer.call, answer.name], ["answer", "s1", "web_search"]);
  assert.deepEqual([answer.answer.label, answer.answer.text], ["1 page", "B — u"]);
});

test("the beat of claude's clock while a tool runs is no row", () => {
  const beat = { kind: "stream", type: "tool_progress", parent_tool_use_id: "t", heartbeat: true };
  assert.deepEqual(eventToRows(beat, new Memory()), []);
});

test("a subagent's rows name its task where the thread changes", () => {
  const memory = new Memory();
  const line = (content, parent = null) => ({
    kind: "stream",
    type: "assistant",
    parent_tool_use_id: parent,
    message: { content },
  });
  eventToRows(line([{ type: "tool_use", id: "t", name: "Task", input: { description: "count words" } }]), memory);
  const [first] = eventToRows(line([{ type: "text", text: "one" }], "t"), memory);
  const [second] = eventToRows(line([{ type: "text", text: "two" }], "t"), memory);
  assert.deepEqual([first.parent, first.under, second.under], ["t", "count words", undefined]);
});

test("a long wait of claude's is shown once, with its end", () => {
  const memory = new Memory();
  const ts = new Date(2026, 10, 25, 9, 5, 7).getTime();
  const retry = (attempt, delay, later = 0) => ({
    kind: "stream",
    ts: ts + later,
    type: "system",
    subtype: "api_retry",
    attempt,
    max_retries: 300,
    retry_delay_ms: delay,
    error_status: 429,
    error: "rate_limit",
  });
  const shown = [retry(1, 75_205), retry(1, 45_205, 30_000), retry(2, 59_900)].flatMap((line) =>
    eventToRows(line, memory),
  );
  assert.deepEqual(
    shown.map((row) => row.text),
    ["retry 1/300 at 09:06 (in 1m 15s): rate_limit (429)", "retry 2/300 in 1m 00s: rate_limit (429)"],
  );
});

test("the banner tells what is wrong, since when, and when it is tried again", () => {
  const at = new Date(2026, 10, 25, 9, 5, 7).getTime();
  const lost = {
    ...unconnected(),
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
  assert.equal(connectionWords(unconnected(), at), "");
  assert.match(connectionWords({ ...lost, phase: "refused", reason: "wrong token" }, at), /^No access: wrong token/u);
});

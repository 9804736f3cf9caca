/** What a search found, in the page's words. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutOf, countWords, groupsOf, nameOf, piecesOf, placeOf, signOf } from "../../../hyperhive_cli/web/static/js/hits.js";

const HIT = { agent: "bee", seq: 3, ts: 1_795_364_671_046, turn: 39, kind: "stream", part: "output", failed: true, tool: "Bash", subject: "pytest -q", line: 2998, lines: 3004, text: "a claim 🐝 claim", marks: [[2, 7], [10, 15]] };

test("the marks of a line count code points", () => {
  assert.deepEqual(piecesOf(HIT), ["a ", "claim", " 🐝 ", "claim", ""]);
  assert.deepEqual(piecesOf({ ...HIT, marks: [] }), [HIT.text]);
});

test("a place says whose text it is, where, and what was asked", () => {
  assert.equal(nameOf(HIT), "Bash");
  assert.equal(nameOf({ ...HIT, tool: "", part: "message", subject: "ann" }), "ann");
  assert.equal(nameOf({ ...HIT, tool: "", part: "thought" }), "bee");
  assert.equal(nameOf({ ...HIT, tool: "", part: "note" }), "Note");
  assert.equal(nameOf({ ...HIT, tool: "", part: "note", kind: "turn_end" }), "End of the turn");
  assert.equal(aboutOf(HIT), "Line 2,998 of 3,004 · pytest -q");
  assert.equal(aboutOf({ ...HIT, line: 1, lines: 1, subject: HIT.text }), "");
  assert.match(placeOf(HIT, HIT.ts, true), /^bee · #39 · \d\d:\d\d$/u);
  assert.match(placeOf({ ...HIT, turn: null }, HIT.ts, false), /^\d\d:\d\d$/u);
  assert.deepEqual(signOf(HIT), ["bad", "x"]);
  assert.deepEqual(signOf({ ...HIT, failed: false }), ["fine", "check"]);
});

test("the kinds that were found are counted, all of them first", () => {
  const hits = [HIT, { ...HIT, part: "thought" }, { ...HIT, part: "text" }];
  assert.deepEqual(groupsOf(hits, "bee").map(({ words, count }) => `${words} ${count}`), ["All 3", "bee says 2", "Output 1"]);
  assert.deepEqual(groupsOf([], "bee").map(({ words }) => words), ["All"]);
});

test("how far the reader is", () => {
  assert.equal(countWords(0, 37, false, false), "1 of 37");
  assert.equal(countWords(0, 100, true, false), "1 of 100+");
  assert.equal(countWords(-1, 0, false, false), "None");
  assert.equal(countWords(-1, 0, false, true), "");
});

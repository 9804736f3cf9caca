// Read values from stdin as JSON, write what the page's modules make of them: compared with the terminal's words.

import { readFileSync } from "node:fs";
import { Memory } from "../../../hyperhive_cli/web/static/js/memory.js";
import * as text from "../../../hyperhive_cli/web/static/js/text.js";
import { callSummary } from "../../../hyperhive_cli/web/static/js/tool.js";
import { eventToRows } from "../../../hyperhive_cli/web/static/js/transcript.js";

const { values, texts, calls, ends } = JSON.parse(readFileSync(0, "utf-8"));
const figures = ["number", "count", "tokens", "size", "duration", "clock", "dollars", "grouped", "brief", "textOf"];
const found = {
  figures: Object.fromEntries(figures.map((name) => [name, values.map((value) => text[name](value))])),
  clean: texts.map(text.clean),
  oneLine: texts.map((value) => text.oneLine(value, 20)),
  heads: texts.map((value) => text.headLines(value, 3)),
  ends: ends
    .flatMap((event) => eventToRows(event, new Memory()))
    .map((row) => [row.sign, row.tone, row.word, row.figures]),
  calls: calls.map(([name, given]) => callSummary(name, given, "/home/agent/project")),
};
process.stdout.write(JSON.stringify(found));

// Read values from stdin as JSON, write how the page's modules show them: compared with the terminal's words.

import { readFileSync } from "node:fs";
import * as text from "../../../hyperhive_cli/web/static/js/text.js";

const { values, texts } = JSON.parse(readFileSync(0, "utf-8"));
const figures = ["number", "count", "tokens", "duration", "clock", "textOf"];
const found = {
  figures: Object.fromEntries(figures.map((name) => [name, values.map((value) => text[name](value))])),
  clean: texts.map(text.clean),
  oneLine: texts.map((value) => text.oneLine(value, 20)),
};
process.stdout.write(JSON.stringify(found));

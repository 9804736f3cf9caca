// Read values from stdin as JSON, write how the page's modules show them: compared with the terminal's words.

import { readFileSync } from "node:fs";
import { nowOf } from "../../../hyperhive_cli/web/static/js/now.js";
import * as text from "../../../hyperhive_cli/web/static/js/text.js";

const { values, texts, limits } = JSON.parse(readFileSync(0, "utf-8"));
const figures = ["number", "count", "tokens", "duration", "clock", "textOf"];
/** @param {number} limit of a day that is used up */
const raised = (limit) => {
  const state = { running: true, status: "over_budget", budget: { today: { cost_usd: limit, limit_usd: limit } } };
  return nowOf(state, null, 0).actions?.[0].amount;
};
const found = {
  figures: Object.fromEntries(figures.map((name) => [name, values.map((value) => text[name](value))])),
  clean: texts.map(text.clean),
  raised: limits.map(raised),
  oneLine: texts.map((value) => text.oneLine(value, 20)),
};
process.stdout.write(JSON.stringify(found));

// Read states and records of agents from stdin as JSON, write what the page says of each: opened now, and after the records.

import { nowOf } from "../../../hyperhive_cli/web/static/js/now.js";
import { readFileSync } from "node:fs";
import { triaged } from "../../../hyperhive_cli/web/static/js/triage.js";

const { situations, now } = JSON.parse(readFileSync(0, "utf-8"));
const found = situations.map(({ before, records, after }) => {
  const followed = Object.assign({}, before, ...records.map((record) => record.facts));
  return [after, followed].map((state) => ({
    now: nowOf(state, null, now * 1000),
    group: triaged([state], now * 1000)[0].group,
  }));
});
process.stdout.write(JSON.stringify(found));

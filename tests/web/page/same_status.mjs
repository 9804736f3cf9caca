// Read states and events of agents from stdin as JSON, write the word and the tone that the page shows for each.

import { readFileSync } from "node:fs";
import { aliveBadge, observe } from "../../../hyperhive_cli/web/static/js/facts.js";

const { situations, now } = JSON.parse(readFileSync(0, "utf-8"));
const found = situations.map(({ before, events, after }) => {
  const followed = events.reduce(observe, before);
  return [after, followed].map((facts) => {
    const { words, tone } = aliveBadge(facts, "live", now);
    return [words, tone];
  });
});
process.stdout.write(JSON.stringify(found));

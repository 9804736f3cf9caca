// Read states and records of agents from stdin as JSON, write the word and the tone that the page shows for each.

import { readFileSync } from "node:fs";
import { statusBadge } from "../../../hyperhive_cli/web/static/js/agent_state.js";
import { setVocabulary } from "../../../hyperhive_cli/web/static/js/vocabulary.js";

const { situations, vocabulary, now } = JSON.parse(readFileSync(0, "utf-8"));
setVocabulary(vocabulary);
const found = situations.map(({ before, records, after }) => {
  const followed = Object.assign({}, before, ...records.map((record) => record.facts));
  return [after, followed].map((state) => {
    const { words, tone } = statusBadge(state, "live", now);
    return [words, tone];
  });
});
process.stdout.write(JSON.stringify(found));

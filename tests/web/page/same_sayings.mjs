// Read lines of claude from stdin as JSON, write what the page says of them: compared with what the terminal says.

import { readFileSync } from "node:fs";
import { limitWords, readLimit } from "../../../hyperhive_cli/web/static/js/limits.js";
import { QUIET, SHOWN_ELSEWHERE, said } from "../../../hyperhive_cli/web/static/js/said.js";
import { SENTENCES } from "../../../hyperhive_cli/web/static/js/sentences.js";
import { servedAnswer } from "../../../hyperhive_cli/web/static/js/served.js";

const { lines, served, limits } = JSON.parse(readFileSync(0, "utf-8"));
const found = {
  said: lines.map(said),
  served: served.map(servedAnswer),
  limits: limits.map(([line, now]) => {
    const { limit, onCredits } = readLimit(line);
    return limitWords(limit, now, onCredits);
  }),
  known: [...QUIET, ...SHOWN_ELSEWHERE, ...SENTENCES.keys()].sort(),
};
process.stdout.write(JSON.stringify(found));

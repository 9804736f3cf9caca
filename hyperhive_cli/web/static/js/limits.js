/** The account's limits: what a `rate_limit_event` says, and the words for it: those of the terminal. Pure. */

import { ahead, mapping, number, oneLine, string, textOf } from "./text.js";

/** @typedef {Record<string, any>} Limit `name`, `status`, `utilization`, `resets_at` (Unix s), as in `status --json` */

const YEAR_5000 = 100_000_000_000; // Unix seconds; a larger figure is one of milliseconds
const FAMILIES = ["opus", "sonnet", "haiku", "fable", "mythos"];
const NAMES = new Map(
  Object.entries({
    five_hour: "5-hour limit",
    seven_day: "weekly limit",
    seven_day_overage_included: "weekly Fable limit",
    overage: "usage credits",
  }),
);

/** @param {unknown} value */
function unixSeconds(value) {
  const figure = typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
  if (figure === null) return null;
  const seconds = figure > YEAR_5000 ? figure / 1000 : figure;
  return seconds <= YEAR_5000 ? Math.trunc(seconds) : null;
}

/** Give what a person calls a type of limit. @param {string} kind */
function limitName(kind) {
  const known = NAMES.get(kind);
  if (known) return known;
  for (const [prefix, span] of [
    ["five_hour_", "5-hour"],
    ["seven_day_", "weekly"],
  ]) {
    if (!kind.startsWith(prefix)) continue;
    const rest = kind.slice(prefix.length).replaceAll("_", " ");
    return `${span} ${FAMILIES.includes(rest) ? rest[0].toUpperCase() + rest.slice(1) : rest} limit`;
  }
  return kind ? `${kind.replaceAll("_", " ")} limit` : "rate limit";
}

/**
 * Read a `rate_limit_event` line.
 * @param {Record<string, any>} line
 * @returns {{limit: Limit, onCredits: boolean}}
 */
export function readLimit(line) {
  const info = line.rate_limit_info;
  const found = info !== null && typeof info === "object" && !Array.isArray(info) ? info : line;
  const type = string(found.rateLimitType).slice(0, 60);
  const share = number(found.utilization);
  const limit = {
    type,
    name: limitName(type),
    status: typeof found.status === "string" ? found.status.slice(0, 60) : null,
    utilization: share !== null && share >= 0 && share <= 1000 ? share : null,
    resets_at: unixSeconds(found.resetsAt),
  };
  return { limit, onCredits: found.isUsingOverage === true || found.overageInUse === true };
}

/** Say how far a limit is used and when it resets. @param {Limit} limit @param {number} now Unix s @param {boolean} onCredits */
export function limitWords(limit, now, onCredits = false) {
  const name = oneLine(textOf(limit.name), 60) || "rate limit";
  const share = number(limit.utilization);
  const status = oneLine(textOf(limit.status), 40);
  const told = share === null ? ` ${status.replaceAll("_", " ")}`.trimEnd() : ` ${Math.floor(share * 100 + 0.5)}% used`;
  const used = status === "rejected" ? " reached" : told;
  const paid = onCredits ? ", usage credits pay for more" : "";
  const until = number(limit.resets_at);
  return `${name}${used}${paid}${until !== null && until > now ? `, resets ${ahead(until, now)}` : ""}`;
}

/** Give the words of all limits that have not reset yet. @param {unknown} limits @param {number} now Unix s @returns {string[]} */
export function openLimits(limits, now) {
  const found = Array.isArray(limits) ? limits.map(mapping) : [];
  return found.filter((limit) => (number(limit.resets_at) ?? 0) > now).map((limit) => limitWords(limit, now));
}

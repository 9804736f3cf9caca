/** How a message repeats, as a cron expression and in words. Pure. */

/** Choice → its words in the menu. @type {[string, string][]} */
export const REPEATS = [
  ["", "Never"],
  ["hour", "Every hour"],
  ["day", "Every day"],
  ["weekdays", "Monday to Friday"],
  ["week", "Every week"],
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAILY = /^\d{1,2} \d{1,2} \* \* (\S+)$/u;
/** @type {Record<string, string>} */
const WORDS = {
  "@hourly": "every hour",
  "@daily": "every day",
  "@midnight": "every day",
  "@weekly": "every Sunday",
  "@monthly": "every month",
  "@yearly": "every year",
  "@annually": "every year",
};

/** Return the cron expression of a choice, by the clocks of this browser. @param {string} repeat @param {Date} at */
export function expressionOf(repeat, at) {
  const days = { hour: "", day: "*", weekdays: "1-5", week: String(at.getDay()) }[repeat] ?? "*";
  return repeat === "hour" ? `${at.getMinutes()} * * * *` : `${at.getMinutes()} ${at.getHours()} * * ${days}`;
}

/** Return how often an expression fires; one that is not a choice of the menu says so itself. @param {string} expression */
export function repeatWords(expression) {
  if (expression in WORDS) return WORDS[expression] ?? "";
  if (/^\d{1,2} \* \* \* \*$/u.test(expression)) return "every hour";
  const days = DAILY.exec(expression)?.[1];
  if (days === "*") return "every day";
  if (days === "1-5") return "Monday to Friday";
  return days && /^[0-7]$/u.test(days) ? `every ${DAYS[Number(days) % 7]}` : expression;
}

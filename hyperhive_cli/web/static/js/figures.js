/** Times, spans and money as the page says them: 0:42 running, 12 min since, 10:24 today, Wed 09:00 this week. Pure. */

import { number } from "./text.js";

const DAY_MS = 86_400_000;

/** Return a span of time in its two largest units: `24 s`, `12 min`, `1 h 12 min`, `3 days`. @param {number} seconds */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours < 24) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return days === 1 ? "1 day" : `${days} days`;
}

/**
 * Return a time in Unix ms as the page says it on this day: `10:24`, `Wed 09:00`, `21 November`.
 * @param {number} ms @param {number} now Unix ms
 */
export function when(ms, now) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "";
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const days = Math.round((startOfDay(ms) - startOfDay(now)) / DAY_MS);
  if (days === 0) return time;
  if (Math.abs(days) < 7) return `${date.toLocaleString("en-GB", { weekday: "short" })} ${time}`;
  const isThisYear = date.getFullYear() === new Date(now).getFullYear();
  const words = /** @type {Intl.DateTimeFormatOptions} */ ({ day: "numeric", month: "long" });
  return date.toLocaleString("en-GB", isThisYear ? words : { ...words, year: "numeric" });
}

/** @param {number} ms */
function startOfDay(ms) {
  return new Date(ms).setHours(0, 0, 0, 0);
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

/** Return US dollars: `$0.18`, `$10`, `<$0.01`; `$0` for nothing, or if it is not a number. @param {unknown} value */
export function money(value) {
  const figure = number(value) ?? 0;
  if (figure <= 0) return "$0";
  if (figure < 0.01) return "<$0.01";
  const isWhole = Math.abs(figure - Math.round(figure)) < 0.005;
  const digits = isWhole ? 0 : 2;
  return `$${figure.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** What a screen reader is told while the page is live: turns and what needs a person, not each row. Pure. */

import { oneLine } from "./text.js";
import { statusWords } from "./vocabulary.js";

/** @import { FeedRecord } from "./connection.js" */
/** @import { Row } from "./rows.js" */

/** @param {FeedRecord} record @returns {string[]} */
export function announcementsOf(record) {
  if (record.kind === "status_changed") return [`Agent ${statusWords(record.facts?.status)[0]}`];
  return (record.rows ?? []).map(rowAnnouncement).filter(Boolean);
}

/** @param {Row} row */
function rowAnnouncement(row) {
  switch (row.kind) {
    case "head":
      return `Turn started, message from ${row.sender}`;
    case "foot":
      return `Turn ended: ${[row.word, ...row.remarks].join(", ")}`;
    case "note":
      return row.topic === "note" && ["warn", "bad"].includes(row.tone) ? oneLine(row.text.text, 160) : "";
    default:
      return "";
  }
}

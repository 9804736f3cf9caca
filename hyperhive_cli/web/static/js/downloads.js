/** The transcript of an agent, or of one turn, as a file. */

/** @import { Api } from "./api.js" */

/** Format → what it is called. @type {[string, string][]} */
export const FORMATS = [["md", "Markdown"], ["html", "HTML"], ["jsonl", "JSON lines"]];

/**
 * Have the browser save a transcript. It is fetched with the token, which no address has.
 * @param {Api} api @param {string} agent @param {string} format @param {number} [turn]
 */
export async function saveTranscript(api, agent, format, turn) {
  const part = turn === undefined ? "" : `-turn-${turn}`;
  const blob = await api.blob(`export?format=${format}${turn === undefined ? "" : `&turn=${turn}`}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${agent}${part}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun to save it
}

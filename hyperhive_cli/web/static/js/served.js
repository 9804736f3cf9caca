/** The answers of tools that run at the API and not here: those of the terminal (`claude/server_tools.py`). Pure. */

import { mapping, string } from "./text.js";
import { listed, text, textIn } from "./words.js";

/** @typedef {Record<string, any>} Block */
/** @typedef {{text: string, label: string, failed: boolean}} Served */

/** Whether a block is the answer of such a tool: `web_search_tool_result`. @param {Block} block */
export function isServed(block) {
  const kind = string(block.type);
  return kind.endsWith("tool_result") && kind !== "tool_result";
}

/** @param {string} words @param {string} label @returns {Served} */
const answer = (words, label = "", failed = false) => ({ text: words, label, failed });

/** Read such a block. @param {Block} block @returns {Served} */
export function servedAnswer(block) {
  const { content } = block;
  const isObject = content !== null && typeof content === "object" && !Array.isArray(content);
  const pages = listed(content).map(mapping).map(page).filter(Boolean);
  const count = `${pages.length} page${pages.length === 1 ? "" : "s"}`;
  const found = isObject ? ofObject(content) : pages.length ? answer(pages.join("\n"), count) : plain(content);
  return block.is_error === true ? answer(found.text, found.label || "error", true) : found;
}

/** @param {Block} content @returns {Served} */
function ofObject(content) {
  const error = text(content.error_code);
  if (error) return answer(textIn(content.error_message), error.replaceAll("_", " ").slice(0, 60), true);
  if ("stdout" in content || "stderr" in content) {
    const words = [content.stdout, content.stderr].map(text).filter(Boolean).join("\n");
    const failed = Number.isInteger(content.return_code) && content.return_code !== 0;
    return answer(words, failed ? `exit ${content.return_code}` : words ? "" : "no output", failed);
  }
  const shown = page(content);
  if (shown) {
    const source = mapping(mapping(content.content).source);
    const data = source.type === "text" ? text(source.data) : "";
    return answer(data ? `${shown}\n${data}` : shown);
  }
  if (Array.isArray(content.tool_references)) {
    const tools = listed(content.tool_references).filter((one) => one !== null && typeof one === "object");
    const names = tools.filter((one) => !Array.isArray(one)).map((one) => text(mapping(one).tool_name));
    return answer(names.filter(Boolean).join(" "), `${names.length} found`);
  }
  return plain(content);
}

/** @param {unknown} content @returns {Served} */
function plain(content) {
  const words = textIn(content);
  return answer(words, words ? "" : "no output");
}

/** Give a page's title and address. @param {Block} found */
function page(found) {
  const url = text(found.url);
  const title = text(found.title) || text(mapping(found.content).title);
  return title && url ? `${title} — ${url}` : url;
}

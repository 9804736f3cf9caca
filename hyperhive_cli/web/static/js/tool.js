/** What a tool was asked, and what it answered, in short. Pure; the same words as in the terminal. */

import { isServed, servedAnswer } from "./served.js";
import { brief, clean, count, mapping, number, oneLine, plural, string, textOf, tokens } from "./text.js";
import { textIn } from "./words.js";

const SUMMARY_CHARS = 400;
const MOST_KEYS = 6;
const WRAPPED_CHARS = 4096;
const EXIT_CODE = /^Exit code (\d{1,9})(?:\n|$)/u;
// The binary wraps some answers for the model's eye; a person needs the text alone.
const WRAPPERS = /<\/?(?:tool_use_error|persisted-output|local-command-std(?:out|err))>/gu;

/** Tool → the keys of its input that say what it is about; the first that is there wins. */
const SUBJECTS = new Map(
  Object.entries({
    Bash: ["command"],
    BashOutput: ["bash_id"],
    Edit: ["file_path"],
    Glob: ["pattern"],
    Grep: ["pattern"],
    KillShell: ["shell_id"],
    LS: ["path"],
    Monitor: ["description", "command"],
    MultiEdit: ["file_path"],
    NotebookEdit: ["notebook_path", "file_path"],
    Read: ["file_path"],
    SendMessage: ["summary", "message"],
    Skill: ["skill", "command"],
    Task: ["description", "prompt"],
    Agent: ["description", "prompt"],
    TaskStop: ["task_id"],
    ToolSearch: ["query"],
    WebFetch: ["url"],
    WebSearch: ["query"],
    Write: ["file_path"],
    // Tools of the API.
    bash_code_execution: ["command"],
    code_execution: ["code"],
    text_editor_code_execution: ["path", "command"],
    web_fetch: ["url"],
    web_search: ["query"],
  }),
);
const PATHS = new Set(["file_path", "notebook_path", "path"]);

/**
 * Give one cleaned line that says what a tool was asked.
 * @param {string} name
 * @param {unknown} given
 * @param {string} cwd
 */
export function callSummary(name, given, cwd = "") {
  if (given === null || given === undefined) return "";
  if (typeof given !== "object" || Array.isArray(given)) return brief(given);
  const input = mapping(given);
  for (const key of SUBJECTS.get(name) ?? []) {
    if (string(input[key]).trim()) return subject(key, input[key], input, cwd);
  }
  const pairs = Object.entries(input).map(([key, value]) => `${oneLine(key, 30)}=${brief(value, 40)}`);
  return [...pairs.slice(0, MOST_KEYS), ...(pairs.length > MOST_KEYS ? ["…"] : [])].join(" ");
}

/** @param {string} key @param {string} value @param {Record<string, any>} input @param {string} cwd */
function subject(key, value, input, cwd) {
  if (PATHS.has(key)) return oneLine(relative(value, cwd), SUMMARY_CHARS);
  const where = string(input.path);
  if (key === "pattern" && where && relative(where, cwd) !== ".") {
    const half = SUMMARY_CHARS / 2;
    return `${oneLine(value, half)} in ${oneLine(relative(where, cwd), half)}`;
  }
  return oneLine(value, SUMMARY_CHARS);
}

/** Give `path` as seen from `cwd` when it lies inside, else unchanged. @param {string} path @param {string} cwd */
export function relative(path, cwd) {
  if (!cwd || !path.startsWith(cwd)) return path;
  const rest = path.slice(cwd.length);
  if (rest === "" || rest === "/") return ".";
  return rest.startsWith("/") || cwd.endsWith("/") ? rest.replace(/^\/+/u, "") : path;
}

/**
 * A tool's answer: a `label` (`exit 3`, `2 lines written`), its text, and the patch of an edit where there is one.
 * @typedef {{failed: boolean, label: string, text: string, patch: Hunk[]}} Answer
 * @typedef {{oldStart: number, newStart: number, lines: string[]}} Hunk
 */

/**
 * Read a `tool_result` block; `sibling` is the line's `tool_use_result`, the same in structured form.
 * @param {string} name @param {Record<string, any>} block @param {unknown} sibling
 * @returns {Answer}
 */
export function answerSummary(name, block, sibling) {
  if (isServed(block)) return { ...servedAnswer(block), patch: [] };
  const text = contentText(block.content);
  const none = { failed: false, label: "", text, patch: [] };
  if (block.is_error === true) return failure(text);
  const found = mapping(sibling);
  if (["Write", "Edit", "MultiEdit"].includes(name)) return { ...none, ...written(found) };
  if (["Task", "Agent"].includes(name)) return { ...none, ...subagent(found) };
  return text.trim() ? none : { ...none, label: "no output" };
}

/** @param {string} text @returns {Answer} */
function failure(text) {
  const code = EXIT_CODE.exec(text);
  const rest = code ? text.slice(code[0].length) : text;
  return { failed: true, label: code ? `exit ${code[1]}` : "error", text: rest, patch: [] };
}

/** @param {Record<string, any>} sibling */
function written(sibling) {
  const patch = hunksOf(sibling.structuredPatch);
  if (patch.length) {
    const lines = patch.flatMap((hunk) => hunk.lines);
    const added = lines.filter((line) => line.startsWith("+")).length;
    const removed = lines.filter((line) => line.startsWith("-")).length;
    return { label: `${plural(added, "line")} added, ${removed.toLocaleString("en-US")} removed`, text: "", patch };
  }
  if (sibling.type !== "create" || typeof sibling.content !== "string") return {};
  const lines = sibling.content.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const hunk = { oldStart: 0, newStart: 1, lines: lines.map((line) => `+${line}`) };
  return { label: `created, ${plural(lines.length, "line")}`, text: "", patch: lines.length ? [hunk] : [] };
}

/** @param {unknown} patch @returns {Hunk[]} */
function hunksOf(patch) {
  if (!Array.isArray(patch)) return [];
  return patch.map(mapping).map((hunk) => ({
    oldStart: count(hunk.oldStart),
    newStart: count(hunk.newStart),
    lines: Array.isArray(hunk.lines) ? hunk.lines.filter((line) => typeof line === "string") : [],
  }));
}

/** @param {Record<string, any>} sibling */
function subagent(sibling) {
  if (sibling.isAsync === true || sibling.status === "async_launched") {
    return { label: "runs in the background", text: "" };
  }
  if (sibling.status !== "completed") return {};
  const spent = number(sibling.totalTokens);
  return {
    label: spent === null ? "completed" : `completed, ${tokens(spent)} tokens`,
    text: contentText(sibling.content),
  };
}

/** Give the text of a message's or an answer's content: a string, or a list of blocks. @param {unknown} content */
export function contentText(content) {
  if (typeof content === "string") return unwrapped(content);
  if (Array.isArray(content)) return unwrapped(content.map(blockText).join("\n"));
  return textOf(content);
}

/** @param {unknown} block */
function blockText(block) {
  const found = mapping(block);
  if (found.type === "text" && typeof found.text === "string") return found.text;
  return typeof block === "string" ? block : textIn(found) || `[${brief(found.type ?? "block")}]`;
}

/** @param {string} text */
function unwrapped(text) {
  // Wrappers stand at the very start, and a long text is not searched through for their ends.
  if (!text.startsWith("<")) return text;
  return text.slice(0, WRAPPED_CHARS).replace(WRAPPERS, "") + text.slice(WRAPPED_CHARS);
}

/** Give a tool's input as text to unfold: a command or a prompt as it is, the rest as JSON. @param {unknown} given */
export function inputText(given) {
  const input = mapping(given);
  const keys = Object.keys(input);
  const [only] = keys.filter((key) => key !== "description");
  if (keys.length <= 2 && typeof input[only] === "string" && keys.every((key) => typeof input[key] === "string")) {
    return clean(
      input.description && only !== "description" ? `# ${input.description}\n${input[only]}` : input[only],
    );
  }
  return clean(JSON.stringify(given, null, 2) ?? "");
}

/**
 * Give the change that an edit asks for as hunks: what both texts share at their ends is context, one line each.
 * @param {unknown} given the tool's input
 * @returns {Hunk[]}
 */
export function askedPatch(given) {
  const input = mapping(given);
  const edits = Array.isArray(input.edits) ? input.edits.map(mapping) : [input];
  return edits
    .filter((edit) => typeof edit.old_string === "string" && typeof edit.new_string === "string")
    .map(between);
}

/** @param {Record<string, any>} edit @returns {Hunk} */
function between(edit) {
  const [old, fresh] = [edit.old_string.split("\n"), edit.new_string.split("\n")];
  let [head, tail] = [0, 0];
  while (head < Math.min(old.length, fresh.length) && old[head] === fresh[head]) head += 1;
  const room = Math.min(old.length, fresh.length) - head;
  while (tail < room && old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]) tail += 1;
  const lines = [
    ...old.slice(Math.max(0, head - 1), head).map((/** @type {string} */ line) => ` ${line}`),
    ...old.slice(head, old.length - tail).map((/** @type {string} */ line) => `-${line}`),
    ...fresh.slice(head, fresh.length - tail).map((/** @type {string} */ line) => `+${line}`),
    ...old.slice(old.length - tail, old.length - tail + 1).map((/** @type {string} */ line) => ` ${line}`),
  ];
  return { oldStart: 0, newStart: 0, lines };
}

/** Tool calls: a line each, in a card for each run. What a call holds is made when it is first opened. */

import { copyButton } from "./copying.js";
import { diffElement } from "./diff.js";
import { h, icon } from "./dom.js";
import { resultWords, thoughtWords, todoWords, tookWords } from "./feed_words.js";
import { outputElements } from "./output.js";
import { thumbnails } from "./pictures.js";
import { proseElement, thoughtBody } from "./prose.js";

/** @import { CallBlock, ThoughtBlock } from "./blocks.js" */
/** @import { Source } from "./feed_source.js" */

const MARKS = { ok: ["fine", "check"], bad: ["bad", "x"], plain: ["quiet", "x"], todos: ["quiet", "queue"], thought: ["quiet", "spark"] };
const WORDY = new Set(["Task", "Agent", "Skill", "Todos"]); // their input is words, not code

/**
 * Make the element of a call. A failed one is open.
 * @param {CallBlock} block @param {Source} source @param {(home: HTMLElement, block: CallBlock) => void} drawInner draws the blocks of a subagent
 */
export function callElement(block, source, drawInner) {
  const details = h("details", "call", h("summary", ""));
  updateCall(details, block, source, drawInner);
  if (block.state === "bad") details.open = true;
  details.addEventListener("toggle", () => fillCall(details));
  return details;
}

/** What an element shows now. @type {WeakMap<HTMLElement, {block: CallBlock, source: Source, drawInner: (home: HTMLElement, block: CallBlock) => void, filled: string}>} */
const shownCalls = new WeakMap();

/** @param {HTMLDetailsElement} details @param {CallBlock} block @param {Source} source @param {(home: HTMLElement, block: CallBlock) => void} drawInner */
export function updateCall(details, block, source, drawInner) {
  const was = shownCalls.get(details);
  shownCalls.set(details, { block, source, drawInner, filled: was?.filled ?? "" });
  details.className = `call is-${block.state}`;
  details.querySelector("summary")?.replaceChildren(...callLine(block));
  // A failure opens itself, once.
  if (was && was.block.state === "live" && block.state === "bad") details.open = true;
  fillCall(details);
}

/** @param {HTMLDetailsElement} details */
function fillCall(details) {
  const shown = shownCalls.get(details);
  if (!shown || !details.open) return;
  const { block, source, drawInner } = shown;
  // A body is made again only if its own content has changed: what is inside a subagent is drawn in its place.
  const content = `${block.answer?.call ?? ""}${Boolean(block.answer)} ${block.todos ? block.version : ""} ${block.blocks.length > 0}`;
  if (shown.filled !== content) {
    shown.filled = content;
    details.replaceChildren(/** @type {Element} */ (details.firstElementChild), ...callBody(block, source));
  }
  const inner = /** @type {HTMLElement | null} */ (details.querySelector(":scope > .sub > .inner"));
  if (inner) drawInner(inner, block);
}

/** @param {CallBlock} block @returns {Node[]} */
function callLine(block) {
  const { row, answer, state, todos, since } = block;
  const name = todos ? "Todos" : (row?.name ?? (block.task ? "Task" : answer?.name || "Result"));
  const input = todos ? todoWords(todos) : (row?.subject ?? block.task);
  const words = WORDY.has(name) || !row ? "in cut words" : "in cut";
  return [callMark(todos ? "todos" : state), h("span", "tool", name), h("code", words, input), resultElement(block, state, since), chevron()];
}

/** @param {string} state */
function callMark(state) {
  if (state === "live") return h("span", { class: "st running", "aria-label": "running", role: "img" });
  const [tone, name] = MARKS[/** @type {keyof typeof MARKS} */ (state)] ?? MARKS.plain;
  const words = { ok: "done", bad: "failed" }[state];
  return h("span", tone, icon(name), words ? h("span", "unseen", words) : null);
}

function chevron() {
  const found = icon("chev", "s");
  found.classList.add("chev");
  return found;
}

/** @param {CallBlock} block @param {string} state @param {number} since */
function resultElement({ answer, todos, row, ended }, state, since) {
  const element = h("span", "res");
  if (todos) return element;
  if (state === "live") {
    element.dataset.since = String(since);
    element.setAttribute("aria-hidden", "true");
  } else if (answer) {
    const words = resultWords(answer);
    element.append(...words.flatMap(([text, tone], index) => [index ? (tone ? " " : " · ") : "", tone ? h("span", tone, text) : text]));
  } else if (row) {
    element.append(ended ?? "no answer");
  }
  return element;
}

/** @param {CallBlock} block @param {Source} source @returns {Node[]} */
function callBody(block, source) {
  const { row, answer, todos } = block;
  if (todos) return [todoList(todos)];
  const parts = [];
  const wholeRow = (/** @type {any} */ of, /** @type {string} */ field) => () => source.wholeRow(of).then((found) => found[field]);
  if (row?.prompt || block.blocks.length) {
    const inner = h("div", "inner");
    const last = answer?.output.text.trim() ? proseElement({ kind: "text", text: answer.output.text, cut: answer.output.cut }, () => source.wholeRow(answer).then((found) => found.output.text)) : null;
    last?.classList.add("last-words");
    const prompt = row?.prompt ? proseElement({ kind: "text", text: row.prompt.text, cut: row.prompt.cut }, () => source.wholeRow(row).then((found) => found.prompt.text)) : null;
    const label = answer?.failed && answer.label ? h("p", "bad", answer.label) : null;
    return [h("div", "sub", ...[prompt, inner, label, last].filter((part) => part !== null))];
  }
  const diff = answer?.diff.length ? answer : row?.diff.length ? row : null;
  if (row && !diff && isLonger(row.input.text, row.subject)) parts.push(...asked(row, wholeRow(row, "input")));
  if (answer && (answer.advice || (answer.failed && answer.label.length > 12))) parts.push(reason(answer));
  if (diff) parts.push(diffElement(diff.diff, wholeRow(diff, "diff")));
  if (answer?.images.length) parts.push(h("div", "out", thumbnails(answer.images, (number) => source.picture(answer.seq, number))));
  const isPicture = answer?.images.length && /^\s*(\[image\]\s*)*$/u.test(answer.output.text);
  if (answer && !answer.diff.length && !isPicture) parts.push(...outputElements(answer.output, wholeRow(answer, "output")));
  if (!parts.length) parts.push(h("div", "out", h("p", "nothing quiet", emptyWords(block))));
  return parts;
}

/** @param {CallBlock} block */
function emptyWords({ answer, state, row }) {
  if (answer) return "No output";
  if (state === "live") return "No output yet";
  return row ? "The turn ended before an answer came" : "Nothing else is known";
}

/** The input is shown whole if its line does not do that. @param {string} text @param {string} subject */
function isLonger(text, subject) {
  const asked = text.replace(/^# [^\n]*\n/u, "").trim(); // what the command is for stands before it
  return asked !== subject && asked !== "{}" && asked !== "null";
}

/** @param {any} row @param {() => Promise<any>} whole */
function asked(row, whole) {
  const parts = outputElements(row.input, whole);
  for (const part of parts) part.classList.add("asked");
  return parts;
}

/** Why a call failed, and how to allow a denied one. @param {any} answer */
function reason({ label, advice }) {
  const allow = advice ? h("p", "", "To allow it: ", h("code", "", advice), copyButton("", () => advice)) : null;
  return h("div", "out why", h("p", "", label), allow);
}

/** @param {import("./rows.js").Todo[]} todos */
function todoList(todos) {
  const boxes = { done: "box on", doing: "box half", open: "box" };
  const words = { done: "done: ", doing: "doing: ", open: "open: " };
  return h(
    "ul",
    "todo",
    ...todos.map(({ text, state }) =>
      h("li", state === "open" ? "" : state, h("span", boxes[state] ?? "box", state === "done" && icon("check", "s")), h("span", "unseen", words[state] ?? ""), h("span", "", text)),
    ),
  );
}

/** A thought within a run of calls is a line of its card. @param {ThoughtBlock} block @param {Source} source */
export function thoughtLine({ row }, source) {
  const line = [callMark("thought"), h("span", "tool", "Thought"), h("code", "in cut words", (row.text ?? "not shown").trimStart().split("\n", 1)[0].slice(0, 300)), h("span", "res", row.took_ms >= 1000 ? tookWords(row.took_ms) : ""), chevron()];
  const details = h("details", { class: "call is-plain is-thought", "aria-label": thoughtWords(row) }, h("summary", "", ...line));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(h("div", "out", row.text ? thoughtBody(row, () => source.wholeRow(row).then((found) => found.text)) : h("p", "nothing quiet", "claude keeps it to itself")));
  });
  return details;
}


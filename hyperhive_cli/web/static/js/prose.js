/** What people and the agent say: Markdown, folded if it is long, fetched if the server has cut it. */

import { pieceNodes } from "./ansi.js";
import { h, icon } from "./dom.js";
import { bytesWords, counted, thoughtWords } from "./feed_words.js";
import { markdown } from "./markdown.js";

/** @import { RawText, TextRow, ThoughtRow } from "./rows.js" */

const OPEN_LINES = 30; // of a message: a longer one is folded
const SHOWN_LINES = 12;

/**
 * The message of a turn.
 * @param {RawText} body @param {() => Promise<RawText>} whole
 */
export function messageElement(body, whole) {
  const element = h("div", "msg");
  const lines = body.text.split("\n");
  const isLong = body.cut > 0 || lines.length > OPEN_LINES;
  if (!isLong) {
    element.append(markdown(body.text, { breaks: true }));
    return element;
  }
  const cutLines = body.tail ? (body.lines ?? 0) + body.tail.text.split("\n").length : 0;
  const rest = lines.length + cutLines - SHOWN_LINES;
  element.append(h("pre", "plain", lines.slice(0, SHOWN_LINES).join("\n")));
  element.append(
    moreButton(`Show ${counted(Math.max(1, rest), "line")}`, async () => {
      const found = body.cut ? await whole() : body;
      element.replaceChildren(h("pre", "plain", found.text));
    }),
  );
  return element;
}

/** Prose of the model. @param {TextRow} row @param {() => Promise<string>} whole */
export function proseElement({ text, cut = 0 }, whole) {
  const element = h("div", "prose", markdown(text));
  if (cut) {
    const more = moreButton(`Show the rest, ${bytesWords(cut)}`, async () => {
      element.replaceChildren(markdown(await whole()));
    });
    element.append(more);
  }
  return element;
}

/** @param {string} words @param {() => Promise<void>} work */
function moreButton(words, work) {
  const button = h("button", { class: "btn small", type: "button" }, words);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      button.disabled = false;
      button.textContent = `Not loaded: ${error instanceof Error ? error.message : error}. Try again`;
    }
  });
  return h("p", "rest", button);
}

/** A thought between blocks. @param {ThoughtRow} row @param {() => Promise<string>} whole */
export function thoughtElement(row, whole) {
  const words = thoughtWords(row);
  if (!row.text) return h("p", "fold", `${words}, not shown`);
  return foldElement([words], () => [thoughtBody(row, whole)]);
}

/** @param {ThoughtRow} row @param {() => Promise<string>} whole */
export function thoughtBody({ text, cut = 0 }, whole) {
  const body = h("div", "thought", text ?? "");
  if (cut) body.append(moreButton(`Show the rest, ${bytesWords(cut)}`, async () => body.replaceChildren(await whole())));
  return body;
}

/** A line that unfolds; its content is made when it is first opened. @param {(Node | string)[]} words @param {() => Node[]} body */
export function foldElement(words, body) {
  const details = h("details", "", h("summary", "fold", icon("chev", "s"), h("span", "", ...words)));
  details.querySelector("svg")?.classList.add("chev");
  details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && details.append(...body()));
  return details;
}

/** A text of several lines as it is, in its colours. @param {RawText} raw */
export function plainElement(raw) {
  const nodes = pieceNodes(raw);
  if (raw.cut) nodes.push(`\n… ${counted(raw.lines ?? 0, "line")} …\n`);
  if (raw.tail) nodes.push(...pieceNodes(raw.tail));
  return h("span", "plain", ...nodes);
}

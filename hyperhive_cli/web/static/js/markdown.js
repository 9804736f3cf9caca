/** The model's Markdown as elements: parsed, sanitised, with coloured code. No images, styles, scripts or forms. */

import { colour } from "./code.js";
import { clean } from "./text.js";

const TAGS =
  "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr input li ol p pre strong table tbody td th thead tr ul";
const ATTRIBUTES = ["align", "checked", "class", "disabled", "href", "start", "type"];
// A longer text is shown as it is: for some texts the parser's time is quadratic, 1.2 s for this many characters.
const MAX_CHARS = 50_000;

const RENDERER = {
  // HTML in the Markdown is shown as text.
  html: (/** @type {{text: string}} */ token) => escaped(token.text),
  // An image would be loaded from another site; a link is shown instead.
  image: (/** @type {{href: string, text: string}} */ token) =>
    `<a href="${escaped(token.href)}">image: ${escaped(token.text || token.href)}</a>`,
};

/** @type {any} */
let marked = null;
/** @type {any} */
let purifier = null;

/** Load the libraries, before anything is drawn; texts are plain without them. */
export async function loadMarkdown() {
  if (purifier) return;
  try {
    const [parser, cleaner] = await Promise.all([import("../vendor/marked.js"), import("../vendor/purify.js")]);
    marked = /** @type {any} */ (parser).marked;
    marked.use({ gfm: true, renderer: RENDERER });
    purifier = cleaner.default;
    purifier.addHook("afterSanitizeAttributes", keepHarmless);
  } catch (error) {
    console.warn(error);
  }
}

/** @param {Element} node */
function keepHarmless(node) {
  if (node.tagName === "A") secureLink(node);
  if (node.tagName === "INPUT") {
    node.setAttribute("type", "checkbox");
    node.setAttribute("disabled", "");
    node.setAttribute("aria-label", node.hasAttribute("checked") ? "done" : "to do");
  }
  const language = /(?:^|\s)(language-[a-z0-9+#-]{1,20})(?:\s|$)/u.exec(node.getAttribute("class") ?? "");
  if (node.tagName === "CODE" && language) node.setAttribute("class", language[1]);
  else node.removeAttribute("class");
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/gu, (character) => `&#${character.charCodeAt(0)};`);
}

/** Remove a link's target unless it is a web address; open that in a new tab, without a referrer. @param {Element} link */
export function secureLink(link) {
  const target = link.getAttribute("href") ?? "";
  if (!/^https?:\/\//iu.test(target)) {
    link.removeAttribute("href");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer");
}

/**
 * Return a text as elements, or as plain text if it cannot be parsed.
 * @param {string} text @param {{breaks?: boolean}} [how] `breaks`: the end of a line is one, as people write messages
 * @returns {Node}
 */
export function markdown(text, { breaks = false } = {}) {
  const words = clean(text).trim();
  if (words.length > MAX_CHARS) return document.createTextNode(words);
  let found;
  try {
    found = parsed(words, breaks);
  } catch {
    return document.createTextNode(words); // nested deeper than the parser can go, or there is none
  }
  rank([...found.querySelectorAll("h1, h2, h3, h4, h5, h6")]);
  for (const code of found.querySelectorAll("pre > code")) {
    void colour(code);
    code.parentElement?.setAttribute("tabindex", "0"); // it scrolls, so the keyboard must reach it
  }
  return found;
}

/** Put headings below the turn's own, in their order and without a gap. @param {Element[]} headings */
function rank(headings) {
  /** @type {string[]} */
  const open = []; // the headings around the current one
  for (const heading of headings) {
    while (open.length && open[open.length - 1] >= heading.tagName) open.pop();
    open.push(heading.tagName);
    heading.setAttribute("role", "heading");
    heading.setAttribute("aria-level", String(Math.min(6, open.length + 2)));
  }
}

/** @param {string} words @param {boolean} breaks @returns {DocumentFragment} */
function parsed(words, breaks) {
  return purifier.sanitize(marked.parse(words, { async: false, breaks }), {
    ALLOWED_TAGS: TAGS.split(" "),
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

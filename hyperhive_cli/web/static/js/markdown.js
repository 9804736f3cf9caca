/** The model's Markdown as elements: parsed, sanitised, its code coloured. No image, no style, no script, no form. */

import { marked } from "../vendor/marked.js";
import DOMPurify from "../vendor/purify.js";
import { colour } from "./code.js";
import { clean } from "./text.js";

const TAGS = [
  "a",
  "blockquote",
  "br",
  "code",
  "del",
  "em",
  "h1",
  "h2",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
  "input",
  "li",
  "ol",
  "p",
  "pre",
  "strong",
  "table",
  "tbody",
  "td",
  "th",
  "thead",
  "tr",
  "ul",
];
const ATTRIBUTES = ["align", "checked", "class", "disabled", "href", "start", "type"];
// Characters; a longer text stays as it is. The parser takes the square of the time for some: 1.2 s for so many, measured.
const LARGEST = 50_000;

const purifier = /** @type {any} */ (DOMPurify);
const markedText = /** @type {any} */ (marked);
markedText.use({
  gfm: true,
  renderer: {
    // HTML that the model writes is shown as what it is: text.
    html: (/** @type {{text: string}} */ token) => escaped(token.text),
    // An image would be loaded from elsewhere; it stands as a link.
    image: (/** @type {{href: string, text: string}} */ token) =>
      `<a href="${escaped(token.href)}">image: ${escaped(token.text || token.href)}</a>`,
  },
});

purifier.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.tagName === "A") secureLink(node);
  if (node.tagName === "INPUT") {
    node.setAttribute("type", "checkbox");
    node.setAttribute("disabled", "");
    node.setAttribute("aria-label", node.hasAttribute("checked") ? "done" : "to do");
  }
  if (/^H[1-6]$/u.test(node.tagName)) {
    node.setAttribute("role", "heading"); // below the turn's own heading, whatever the model chose
    node.setAttribute("aria-level", String(Math.min(6, Number(node.tagName[1]) + 3)));
  }
  const language = /(?:^|\s)(language-[a-z0-9+#-]{1,20})(?:\s|$)/u.exec(node.getAttribute("class") ?? "");
  if (node.tagName === "CODE" && language) node.setAttribute("class", language[1]);
  else node.removeAttribute("class");
});

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/gu, (character) => `&#${character.charCodeAt(0)};`);
}

/** Let a link lead to another site, and to nothing else, without telling it whence. @param {Element} link */
export function secureLink(link) {
  const target = link.getAttribute("href") ?? "";
  if (!/^https?:\/\//iu.test(target)) {
    link.removeAttribute("href");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer");
}

/** Give a text of the model's as elements; one that cannot be parsed as it is. @param {string} text @returns {Node} */
export function markdown(text) {
  const words = clean(text).trim();
  if (words.length > LARGEST) return document.createTextNode(words);
  let found;
  try {
    found = parsed(words);
  } catch {
    return document.createTextNode(words); // quotes in quotes in quotes: deeper than the parser can go
  }
  for (const code of found.querySelectorAll("pre > code")) {
    colour(code);
    code.parentElement?.setAttribute("tabindex", "0"); // scrolls, so that the keyboard must reach it
  }
  return found;
}

/** @param {string} words @returns {DocumentFragment} */
function parsed(words) {
  return purifier.sanitize(markedText.parse(words, { async: false }), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

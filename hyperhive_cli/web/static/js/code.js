/** Colours for code in its named language. The language is never guessed; code of an unknown one stays plain. */

import hljs from "../vendor/highlight/core.js";
import bash from "../vendor/highlight/bash.js";
import cpp from "../vendor/highlight/cpp.js";
import css from "../vendor/highlight/css.js";
import diff from "../vendor/highlight/diff.js";
import dockerfile from "../vendor/highlight/dockerfile.js";
import go from "../vendor/highlight/go.js";
import ini from "../vendor/highlight/ini.js";
import java from "../vendor/highlight/java.js";
import javascript from "../vendor/highlight/javascript.js";
import json from "../vendor/highlight/json.js";
import markdown from "../vendor/highlight/markdown.js";
import python from "../vendor/highlight/python.js";
import ruby from "../vendor/highlight/ruby.js";
import rust from "../vendor/highlight/rust.js";
import sql from "../vendor/highlight/sql.js";
import typescript from "../vendor/highlight/typescript.js";
import xml from "../vendor/highlight/xml.js";
import yaml from "../vendor/highlight/yaml.js";

const LANGUAGES = {
  bash, cpp, css, diff, dockerfile, go, ini, java, javascript, json,
  markdown, python, ruby, rust, sql, typescript, xml, yaml,
};
const MAX_CHARS = 20_000; // longer code would block the page
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

/** Colour an element's text by its class `language-…`. @param {Element} element */
export function colour(element) {
  const named = /^language-(.+)$/u.exec(element.className)?.[1];
  const text = element.textContent ?? "";
  if (!named || !hljs.getLanguage(named) || text.length > MAX_CHARS) return;
  const { value } = hljs.highlight(text, { language: named, ignoreIllegals: true });
  // The library returns markup, spans around escaped text. It is parsed apart, and only spans and text are copied.
  const parsed = new DOMParser().parseFromString(value, "text/html").body;
  element.replaceChildren(...copied(parsed));
}

/** @param {Node} from @returns {Node[]} */
function copied(from) {
  return [...from.childNodes].map((node) => {
    if (!(node instanceof HTMLElement)) return document.createTextNode(node.textContent ?? "");
    const span = document.createElement("span");
    span.className = node.className;
    span.append(...copied(node));
    return span;
  });
}

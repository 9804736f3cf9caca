/** Functions that make elements. Strings become text nodes: nothing here parses markup. */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Make an element: `h("p", "note", "some text")`, `h("button", { class: "x", type: "button" }, …)`.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {string | Record<string, string | boolean | ((event: any) => void)>} attributes a class, or attributes;
 *   `on…` takes a listener; false leaves an attribute out @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = "", ...children) {
  const element = document.createElement(tag);
  const given = typeof attributes === "string" ? (attributes ? { class: attributes } : {}) : attributes;
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an icon of the page's sprite. @param {string} name @param {string} [size] "s": 14 px in place of 16 */
export function icon(name, size = "") {
  const [picture, use] = [document.createElementNS(SVG, "svg"), document.createElementNS(SVG, "use")];
  picture.setAttribute("class", size ? `i ${size}` : "i");
  picture.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  picture.append(use);
  return picture;
}

/**
 * Return the element that a selector names; throws if there is none.
 * @template {HTMLElement} T
 * @param {string} selector @param {ParentNode} from @returns {T}
 */
export function find(selector, from = document) {
  const found = from.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/** A sentence of the harness: as one begins, and with what it quotes as code. @param {string} text */
export function sentenceOf(text) {
  const [first, ...rest] = text.split("`");
  return [first.slice(0, 1).toUpperCase() + first.slice(1), ...rest.map((part, at) => (at % 2 ? part : h("code", "", part)))];
}

/** Set an element's text, unless it has that text already. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make a folded part; its content is made when it is first opened.
 * @param {string} className @param {Node[]} summary @param {() => Node[]} body
 */
export function folded(className, summary, body) {
  const details = h("details", className, h("summary", "", ...summary));
  details.addEventListener(
    "toggle",
    () => details.open && details.childElementCount === 1 && details.append(...body()),
  );
  return details;
}

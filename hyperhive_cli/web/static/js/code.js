/** Colours for code in its named language. The language is never guessed; code of an unknown one stays plain. */

const LANGUAGES = new Set([
  "bash", "cpp", "css", "diff", "dockerfile", "go", "ini", "java", "javascript", "json",
  "markdown", "python", "ruby", "rust", "sql", "typescript", "xml", "yaml",
]);
/** Other names of them. @type {Record<string, string>} */
const ALIASES = {
  sh: "bash", shell: "bash", zsh: "bash", c: "cpp", "c++": "cpp", h: "cpp", patch: "diff", docker: "dockerfile",
  golang: "go", toml: "ini", js: "javascript", jsx: "javascript", mjs: "javascript", md: "markdown", py: "python",
  rb: "ruby", rs: "rust", ts: "typescript", tsx: "typescript", html: "xml", svg: "xml", yml: "yaml",
};
const MAX_CHARS = 20_000; // longer code would block the page

/** Colour an element's text by its class `language-…`, once the language is loaded. @param {Element} element */
export async function colour(element) {
  const named = /^language-(.+)$/u.exec(element.className)?.[1] ?? "";
  const language = LANGUAGES.has(named) ? named : Object.hasOwn(ALIASES, named) ? ALIASES[named] : "";
  const text = element.textContent ?? "";
  if (!language || text.length > MAX_CHARS) return;
  const hljs = await loaded(language).catch(() => null); // without the library it stays plain
  if (!hljs || element.textContent !== text) return;
  const { value } = hljs.highlight(text, { language, ignoreIllegals: true });
  // The library returns markup, spans around escaped text. It is parsed apart, and only spans and text are copied.
  const parsed = new DOMParser().parseFromString(value, "text/html").body;
  element.replaceChildren(...copied(parsed));
}

/** Load the library and a language when they are first needed: few texts have code. @param {string} language */
async function loaded(language) {
  const folder = "../vendor/highlight";
  const [core, found] = await Promise.all([import(`${folder}/core.js`), import(`${folder}/${language}.js`)]);
  if (!core.default.getLanguage(language)) core.default.registerLanguage(language, found.default);
  return core.default;
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

/** The start of the page: the token, then one agent's panel or the overview of several. */

import { Api, RequestError, keepToken, prefix, takeToken } from "./api.js";
import { find } from "./dom.js";
import { Overview } from "./overview.js";
import { Panel } from "./panel.js";
import { loadVocabulary } from "./vocabulary.js";

/** Show a template. @param {string} id */
function open(id) {
  const template = /** @type {HTMLTemplateElement} */ (find(`#${id}`));
  for (const element of [...document.body.children]) if (!element.matches("template, noscript, .sprite")) element.remove();
  document.body.append(template.content.cloneNode(true));
}

/** @param {string} error */
function askForToken(error) {
  open("locked");
  find(".locked-error").textContent = error;
  const form = /** @type {HTMLFormElement} */ (find(".token-form"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(String(new FormData(form).get("token")).trim());
    start();
  });
  find("input", form).focus();
}

async function start() {
  if (!takeToken()) return askForToken("");
  const named = /^\/agents\/([^/]+)\/?$/u.exec(location.pathname.slice(prefix().length))?.[1];
  try {
    const api = new Api(`${prefix()}/api`);
    const [agents, hive] = await Promise.all([api.get("agents"), api.get("hive"), loadVocabulary(api)]);
    const isOnly = agents.length === 1 && !hive.url; // a hive may have more, even if it cannot be reached
    if (named || isOnly) {
      const name = named ? decodeURIComponent(named) : agents[0].agent;
      open("panel");
      new Panel(name, new Api(`${prefix()}/agents/${encodeURIComponent(name)}/api`), isOnly && name === agents[0].agent).start();
    } else {
      open("overview");
      new Overview(api, agents, hive).start();
    }
  } catch (error) {
    const refused = error instanceof RequestError && (error.status === 401 || error.status === 403);
    if (refused) askForToken("The server does not accept this token: it has a new one since it was restarted.");
    else waitForServer(error);
  }
}

/** The server cannot be reached: say so, and try again. @param {unknown} error */
function waitForServer(error) {
  open("locked");
  find(".token-form").hidden = true;
  find(".locked-words").textContent = "";
  const why = error instanceof Error ? error.message : String(error);
  find(".locked-error").textContent = `${why}; trying again every 2 s`;
  setTimeout(start, 2000);
}

window.addEventListener("hashchange", () => new URLSearchParams(location.hash.slice(1)).has("token") && start());
start();

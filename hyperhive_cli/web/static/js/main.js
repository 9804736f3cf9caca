/** The start of the page: the token, then one agent's panel or the overview of several. */

import { Agents } from "./agents.js";
import { Api, RequestError, prefix } from "./api.js";
import { find } from "./dom.js";
import { OPENING } from "./feed_client.js";
import { askForToken, sayWhy } from "./locked.js";
import { loadMarkdown } from "./markdown.js";
import { Overview } from "./overview.js";
import { Panel } from "./panel.js";
import { sharedHub } from "./shared_hub.js";
import { acceptToken, askTabs, hasChanged, refuseToken, shareToken, takeToken, token, tokenIn } from "./token.js";
import { loadVocabulary } from "./vocabulary.js";

const WRONG = "That is not this server’s token.";
const CHANGED = "This server has a new token.";
let isLocked = false;

/** Show a template. @param {string} id */
function open(id) {
  const template = /** @type {HTMLTemplateElement} */ (find(`#${id}`));
  for (const element of [...document.body.children]) {
    if (!element.matches("template, noscript, .sprite")) element.remove();
  }
  document.body.append(template.content.cloneNode(true));
  for (const link of document.querySelectorAll("a.home")) link.setAttribute("href", `${prefix()}/`);
}

/** Return the agent that the address names, "" if it names none, and the number of a turn of it. */
function placeOf() {
  const path = location.pathname.slice(prefix().length);
  const [, agent = "", turn = ""] = /^\/agents\/([^/]+)(?:\/turns\/(\d+))?(?:\/|$)/u.exec(path) ?? [];
  return { agent: decodeURIComponent(agent), turn: Number(turn) };
}

/** @param {string} agent */
function apiOf(agent) {
  return new Api(`${prefix()}/agents/${encodeURIComponent(agent)}/api`);
}

async function start() {
  sharedHub(); // its worker is loaded while the first answers come
  if (!takeToken()) await askTabs();
  if (!token()) return lock(hasChanged() ? CHANGED : "");
  const { agent, turn } = placeOf();
  try {
    const api = new Api(`${prefix()}/api`);
    const named = agent ? apiOf(agent) : null;
    named?.prefetch(OPENING);
    const firsts = [api.get("agents"), api.get("hive"), loadVocabulary(api), loadMarkdown()];
    const [found, hive] = await Promise.all(firsts);
    acceptToken();
    isLocked = false;
    const agents = new Agents(api, found, hive);
    const isOnly = found.length === 1 && !hive.url; // a hive may have more, even if it cannot be reached
    if (agent || isOnly) {
      const name = agent || found[0].agent;
      open("panel");
      new Panel(name, named ?? apiOf(name), agents, turn).start();
    } else {
      open("overview");
      new Overview(agents).start();
    }
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 401) return waitForServer(error);
    refuseToken();
    await askTabs();
    if (token()) start();
    else lock(hasChanged() ? CHANGED : WRONG);
  }
}

/** @param {string} error */
function lock(error) {
  open("locked");
  isLocked = true;
  askForToken(error, start);
}

/** The server cannot be reached: say so, and try again. @param {unknown} error */
function waitForServer(error) {
  open("locked");
  const why = error instanceof Error ? error.message : String(error);
  sayWhy("The panel is not there", `${why[0].toUpperCase()}${why.slice(1)}. Trying again every 2 s.`);
  setTimeout(start, 2000);
}

window.addEventListener("hashchange", () => {
  if (!tokenIn(location.hash)) return;
  takeToken();
  location.reload(); // what the page shows now has listeners that would stay
});
shareToken(() => isLocked && start());
start();

/** Tells of agents beyond the page: the title, the icon in the state's colour, and system notifications if asked for. */

import { pageOf } from "./agents.js";
import { find } from "./dom.js";
import { newsOf } from "./triage.js";

/** @import { Agents } from "./agents.js" */
/** @import { AgentState } from "./agent_state.js" */
/** @import { Mark } from "./now.js" */

const KEY = "hyperhive-notify";
/** What one can be told of, in words, and whether one is unless one says otherwise. @type {[string, string, boolean][]} */
export const TOPICS = [
  ["needs", "needs me", true],
  ["failed", "has a failed turn", true],
  ["idle", "has nothing left to do", false],
];
/** The mark of the agent → the icon. @type {Record<Mark, string>} */
const ICONS = {
  need: "icon-need.svg",
  failed: "icon-failed.svg",
  running: "icon-running.svg",
  wait: "icon-quiet.svg",
  idle: "icon.svg",
  paused: "icon-quiet.svg",
  stopped: "icon-quiet.svg",
};

/** Return what the reader wants to be told of; `system`: also as a system notification. @returns {Record<string, boolean>} */
export function wanted() {
  const defaults = Object.fromEntries(TOPICS.map(([topic, , isOn]) => [topic, isOn]));
  try {
    return { ...defaults, system: false, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...defaults, system: false };
  }
}

/** @param {string} topic @param {boolean} isOn */
export function want(topic, isOn) {
  localStorage.setItem(KEY, JSON.stringify({ ...wanted(), [topic]: isOn }));
}

/** Ask the browser for system notifications; only a switch does so. Returns whether they may be shown. */
export async function allowSystem() {
  if (!("Notification" in window)) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** Tell of what happens to the agents from now on. @param {Agents} agents */
export function tellNews(agents) {
  /** @type {Map<string, AgentState>} */
  let known = new Map(agents.found.map((one) => [one.agent, one]));
  agents.onChange(() => {
    const now = Date.now();
    for (const state of agents.found) {
      const news = newsOf(known.get(state.agent), state, now);
      if (news && wanted()[news.kind]) tell(state.agent, news.words);
    }
    known = new Map(agents.found.map((one) => [one.agent, one]));
  });
}

/** @param {string} agent @param {string} words */
function tell(agent, words) {
  const isSeen = document.hasFocus() && !document.hidden;
  if (isSeen || !wanted().system || !("Notification" in window) || Notification.permission !== "granted") return;
  // The tag: of several tabs that tell the same, one notification is left.
  const note = new Notification(agent, { body: words, tag: `hyperhive-${agent}` });
  note.onclick = () => {
    window.focus();
    location.href = pageOf(agent);
    note.close();
  };
}

/** Show the count of agents that need someone in the title, and the state's colour in the icon. @param {number} needing @param {string} name @param {Mark} mark */
export function showInTab(needing, name, mark) {
  document.title = `${needing ? `(${needing}) ` : ""}${name}`;
  const link = find("link[rel=icon]");
  const href = (link.getAttribute("href") ?? "").replace(/[^/]*$/u, ICONS[mark]);
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
}

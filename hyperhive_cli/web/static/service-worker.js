/**
 * Shows push messages of the panel, also while no page of it is open. It answers no request of the page and keeps nothing.
 * A message is encrypted for this browser: {"agent": NAME, "words": WHAT IT NEEDS}.
 */

addEventListener("push", (/** @type {any} */ event) => event.waitUntil(showMessage(event.data.json())));
addEventListener("notificationclick", (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(openAgent(event.notification.data));
});

/** @type {any} */
const worker = globalThis;
/** @param {string} agent */
const addressOf = (agent) => new URL(`agents/${encodeURIComponent(agent)}`, worker.registration.scope).href;

/** @param {{agent: string, words: string}} message */
async function showMessage({ agent, words }) {
  // The same tag as the page's own: one notification is left of the two.
  const options = { body: words, tag: `hyperhive-${agent}`, icon: "static/icons/icon-192.png", data: agent };
  await worker.registration.showNotification(`${agent} needs you`, options);
}

/** Show the agent in a page that is open, which has the token; else in a new one. @param {string} agent */
async function openAgent(agent) {
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((/** @type {any} */ one) => one.url.startsWith(addressOf(agent))) ?? pages[0];
  if (!page) return worker.clients.openWindow(addressOf(agent));
  if (!page.url.startsWith(addressOf(agent))) page.postMessage({ show: agent });
  await page.focus();
}

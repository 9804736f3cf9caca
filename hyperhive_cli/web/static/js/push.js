/**
 * Push messages: this browser is notified when an agent starts to need a person, also while no page of the panel is open. The
 * switch is there only if the server sends them and this browser can take them.
 */

import { Api, prefix } from "./api.js";
import { h } from "./dom.js";

const PUSH_WORDS = "Also while the panel is closed";

/** Return the switch, null where there are no push messages. @param {(words: string) => void} complain */
export async function makePushSwitch(complain) {
  const api = pushApi();
  const key = await keyOfServer(api);
  if (!key) return null;
  const isOn = Boolean(await (await pushRegistration())?.pushManager.getSubscription());
  const button = h("button", {
    type: "button",
    class: "switch push-switch",
    role: "switch",
    "aria-label": PUSH_WORDS,
    "aria-checked": String(isOn),
  });
  button.addEventListener("click", async () => {
    const isWanted = button.getAttribute("aria-checked") !== "true";
    button.disabled = true;
    try {
      await (isWanted ? startPush(api, key) : endPush(api));
      button.setAttribute("aria-checked", String(isWanted));
      complain("");
    } catch (error) {
      complain(wordsOfPushError(error));
    }
    button.disabled = false;
  });
  return h("div", "toggle", h("span", "", PUSH_WORDS), button);
}

/** @param {Api} api @param {string} key */
async function startPush(api, key) {
  if ((await Notification.requestPermission()) !== "granted") throw new DOMException("", "NotAllowedError");
  await navigator.serviceWorker.register(`${prefix()}/service-worker.js`);
  const { pushManager } = await navigator.serviceWorker.ready;
  await addToServer(api, await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
}

/** @param {Api} api */
async function endPush(api) {
  const registration = await pushRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  if (subscription) {
    await api.post("push/remove", { endpoint: subscription.endpoint });
    await subscription.unsubscribe();
  }
  await registration?.unregister();
}

/**
 * Tell the server again what this browser wants, as it forgets that with its token; and show the agents of messages. Asks
 * the server only if this browser wants messages.
 */
export async function renewPush() {
  const subscription = await (await pushRegistration())?.pushManager.getSubscription();
  if (!subscription) return;
  showAgentsOfMessages();
  const api = pushApi();
  const key = await keyOfServer(api);
  if (key === keyOfSubscription(subscription)) await addToServer(api, subscription);
  else if (key) await subscription.unsubscribe(); // the server lost its key, and this one takes messages of no other
}

const pushApi = () => new Api(`${prefix()}/api`);
const takesPush = () => "serviceWorker" in navigator && "PushManager" in window;

/** Return the key that signs messages, null where there are none. @param {Api} api @returns {Promise<string | null>} */
async function keyOfServer(api) {
  return takesPush() ? (await api.get("push")).key : null;
}

/** @param {Api} api @param {PushSubscription} subscription */
async function addToServer(api, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  await api.post("push/add", { endpoint, p256dh: keys?.p256dh, auth: keys?.auth });
}

/** The service worker is for addresses below this page's prefix. */
const pushRegistration = async () =>
  takesPush() ? navigator.serviceWorker.getRegistration(`${prefix()}/`) : undefined;

/** @param {PushSubscription} subscription */
function keyOfSubscription({ options }) {
  const bytes = new Uint8Array(options.applicationServerKey ?? new ArrayBuffer(0));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The service worker asks a page that is open to show the agent of a message. */
function showAgentsOfMessages() {
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (typeof data?.show === "string") location.href = `${prefix()}/agents/${encodeURIComponent(data.show)}`;
  });
}

/** @param {unknown} error */
function wordsOfPushError(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The browser does not allow notifications of this page";
  if (name === "AbortError") return "The browser’s push service cannot be reached";
  return error instanceof Error ? error.message : String(error);
}

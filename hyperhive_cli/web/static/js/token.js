/**
 * The token of this panel: taken from the address, kept by this tab, and shared with the other tabs of this panel.
 *
 * A tab keeps it in its session storage, which goes with the tab and survives a reload. The installed app keeps it in
 * local storage too: no other tab could tell it when it is started. A token that the server has refused is kept apart, so
 * that no tab brings it back.
 */

const ANSWER_LIMIT_MS = 300; // for the other tabs: they may be in the background
const ASK = "who has the token?";

/** Each gateway behind one proxy has its own token. */
const key = () => `hyperhive-token${document.documentElement.dataset.prefix ?? ""}`;
const refusedKey = () => `${key()} refused`;
const acceptedKey = () => `${key()} accepted`;
const isInstalled = () => matchMedia("(display-mode: standalone)").matches;
/** @type {BroadcastChannel | null} */
let channel = null;

/**
 * Move the token from the address, where it would stay in copies of the link, to this tab's storage. Returns the known
 * token, or "".
 */
export function takeToken() {
  const given = tokenIn(location.hash);
  if (location.hash.includes("token=")) history.replaceState(history.state, "", location.pathname + location.search);
  if (given) keepToken(given);
  return token();
}

/** Return the known token, or "". */
export function token() {
  return sessionStorage.getItem(key()) ?? (isInstalled() ? localStorage.getItem(key()) : null) ?? "";
}

/** Keep a token, or one within an address, that was typed in. @param {string} typed */
export function keepToken(typed) {
  const found = tokenIn(typed) || typed.trim();
  sessionStorage.setItem(key(), found);
  if (isInstalled()) localStorage.setItem(key(), found);
}

/** The server accepts the token: tell the tabs that wait for one. */
export function acceptToken() {
  sessionStorage.removeItem(refusedKey());
  sessionStorage.setItem(acceptedKey(), token());
  channel?.postMessage({ token: token() });
}

/** The server does not accept the token. */
export function refuseToken() {
  if (!token()) return; // said more than once
  sessionStorage.setItem(refusedKey(), token());
  for (const storage of [sessionStorage, localStorage]) storage.removeItem(key());
}

/** The token of a page that is open was changed: start with one of another tab, or without one. */
export function startAgain() {
  refuseToken();
  location.reload();
}

/** Return true if the refused token is one that the server has accepted before. */
export function hasChanged() {
  const refused = sessionStorage.getItem(refusedKey());
  return refused !== null && refused === sessionStorage.getItem(acceptedKey());
}

/** Answer other tabs, and take what they offer if this one has no token. @param {() => void} onToken it has one now */
export function shareToken(onToken) {
  channel = new BroadcastChannel(key());
  channel.addEventListener("message", ({ data }) => {
    if (data === ASK && token()) channel?.postMessage({ token: token() });
    if (token() || typeof data?.token !== "string" || data.token === sessionStorage.getItem(refusedKey())) return;
    keepToken(data.token);
    onToken();
  });
}

/** Ask the other tabs for the token, as `shareToken` takes it; resolves when they had time to answer. */
export async function askTabs() {
  if (!channel) return;
  channel.postMessage(ASK);
  for (let waited = 0; waited < ANSWER_LIMIT_MS && !token(); waited += 10) await new Promise((done) => setTimeout(done, 10));
}

/** Return the token within an address or its fragment, or "". @param {string} address @returns {string} */
export function tokenIn(address) {
  return /#(?:.*&)?token=([\w-]+)/u.exec(address)?.[1] ?? "";
}

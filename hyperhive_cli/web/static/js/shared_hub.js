/**
 * A tab's side of the hub: the worker that all tabs share or, where there are no shared workers, the tab among them that
 * leads. All that a tab sends and receives is a message; which of the two it is makes no difference to it.
 */

import { prefix } from "./api.js";
import { HubRunner } from "./hub_runner.js";
import { hold, whenReleased } from "./locks.js";
import { token } from "./token.js";

/**
 * @typedef {(message: any) => void} Take
 * @typedef {{post: Take}} Way to the hub
 */

const THIS_TAB = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
const TAB_LOCK = `hyperhive-tab-${THIS_TAB}`;
/** Tabs of another server, or of another version of the page, have a hub of their own. */
const hubName = () => `hyperhive-hub:${new URL(".", import.meta.url).pathname}`;

/** One tab's place at the hub: what it has joined, and who is told. */
export class SharedHub {
  /** @param {(take: Take) => Way} [connect] */
  constructor(connect = wayToHub) {
    /** @type {Map<string, Take>} */
    this.takers = new Map();
    this.way = hold(TAB_LOCK).then(() => connect((message) => this.take(message)));
  }

  /**
   * Join an agent, or "*", or join it again; `take` gets the messages about it, and `rejoin` if there is a new hub.
   * @param {string} agent @param {import("./hub.js").Position} position @param {Take} take
   */
  join(agent, position, take) {
    this.takers.set(agent, take);
    this.post({ type: "join", agent, ...position, base: `${prefix()}/api`, token: token() });
  }

  /** @param {string} agent */
  leave(agent) {
    this.takers.delete(agent);
    this.post({ type: "leave", agent });
  }

  /** Try the stream again immediately if it is lost. */
  retry() {
    this.post({ type: "retry" });
  }

  /** @param {Record<string, any>} message */
  async post(message) {
    (await this.way).post(message);
  }

  /** @param {any} message */
  async take(message) {
    if (message.type !== "new_hub") return this.takers.get(message.agent)?.(message);
    await this.post({ type: "hello", lock: TAB_LOCK });
    for (const take of this.takers.values()) take({ type: "rejoin" });
  }
}

/** @type {SharedHub | null} */
let hubOfThisTab = null;

/** Return this tab's place at the hub. */
export function sharedHub() {
  hubOfThisTab ??= new SharedHub();
  return hubOfThisTab;
}

/** @param {Take} take @returns {Way} */
function wayToHub(take) {
  return "SharedWorker" in globalThis ? throughWorker(take) : throughLeader(take);
}

/** @param {Take} take @returns {Way} */
function throughWorker(take) {
  /** @type {Way} */
  let way = { post: () => {} };
  const open = () => {
    const worker = new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name: hubName() });
    worker.onerror = () => {
      way = throughLeader(take); // the browser does not let it start
    };
    worker.port.onmessage = ({ data }) => {
      if (data.type === "welcome") whenReleased(data.lock, open);
      else take(data);
    };
    way = { post: (message) => worker.port.postMessage({ tab: THIS_TAB, message }) };
    take({ type: "new_hub" });
  };
  queueMicrotask(open);
  return { post: (message) => way.post(message) };
}

/**
 * The tab that was shown last leads: the browser may suspend one that is hidden.
 * @param {Take} take @returns {Way}
 */
function throughLeader(take) {
  const channel = new BroadcastChannel(hubName());
  /** @type {HubRunner | null} */
  let hub = null;
  let waiting = new AbortController();
  const resign = () => {
    hub?.close();
    hub = null;
  };
  const lead = () => {
    hub = new HubRunner((tab, message) => {
      if (tab === THIS_TAB) queueMicrotask(() => take(message));
      else channel.postMessage({ to: tab, message });
    });
    channel.postMessage({ to: "all", message: { type: "new_hub" } });
    take({ type: "new_hub" });
    return new Promise(() => {});
  };
  const stand = async (/** @type {boolean} */ steal) => {
    waiting.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    try {
      await navigator.locks.request(`${hubName()} leader`, steal ? { steal } : { signal }, lead);
    } catch {
      if (signal.aborted) return;
      resign(); // another tab leads now
      stand(false);
    }
  };
  channel.onmessage = ({ data: { to, tab, message } }) => {
    if (to === "hub") hub?.take(tab, message);
    if (to === "all") resign(); // said by a new leader
    if (to === "all" || to === THIS_TAB) take(message);
  };
  document.addEventListener("visibilitychange", () => !document.hidden && !hub && stand(true));
  queueMicrotask(() => {
    if (!navigator.locks) lead();
    else stand(!document.hidden);
    take({ type: "new_hub" }); // if another tab leads
  });
  return {
    post: (message) => (hub ? hub.take(THIS_TAB, message) : channel.postMessage({ to: "hub", tab: THIS_TAB, message })),
  };
}

/** The worker that all tabs of this browser share: it holds their one stream. Its page side is `shared_hub.js`. */

import { HubRunner } from "./hub_runner.js";
import { hold, whenReleased } from "./locks.js";

/** @type {Map<string, MessagePort>} */
const tabPorts = new Map();
const workerHub = new HubRunner((tab, message) => tabPorts.get(tab)?.postMessage(message));
const workerLock = `hyperhive-hub-${crypto.randomUUID()}`;
const isThere = hold(workerLock);

addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  port.onmessage = ({ data: { tab, message } }) => {
    tabPorts.set(tab, port);
    workerHub.take(tab, message);
    if (message.type !== "hello") return;
    isThere.then(() => port.postMessage({ type: "welcome", lock: workerLock }));
    whenReleased(message.lock, () => tabPorts.delete(tab));
  };
});

/**
 * The keys of the page: one table for what they do, for the list that `?` shows, and for the hints elsewhere. Single
 * letters act only outside of fields, and can be switched off.
 */

import { find, h } from "./dom.js";

const KEY = "hyperhive-single-keys";
const PREFIX_MS = 1500;
const IS_MAC = /mac|iphone|ipad/iu.test(navigator.platform);

/**
 * @typedef {string[]} Keys in words, as on the keyboard: ["Ctrl", "K"], ["G", "N"]
 * @typedef {{does: string, words: string, keys: Keys, isFixed?: boolean}} Shortcut `isFixed`: handled elsewhere
 */
/** @type {[string, Shortcut[]][]} */
const SHORTCUTS = [
  [
    "Everywhere",
    [
      { does: "palette", words: "Search or run a command", keys: ["Ctrl", "K"] },
      { does: "search", words: "Search the history", keys: ["G", "S"] },
      { does: "next_needing", words: "Next agent that needs you", keys: ["G", "N"] },
      { does: "all_agents", words: "All agents", keys: ["G", "A"] },
      { does: "list", words: "This list", keys: ["?"] },
    ],
  ],
  [
    "Turn",
    [
      { does: "pause", words: "Pause or resume", keys: ["G", "P"] },
      { does: "cancel", words: "Cancel the turn (asks first)", keys: ["G", "X"] },
    ],
  ],
  [
    "Feed",
    [
      { does: "next_turn", words: "Next turn", keys: ["J"] },
      { does: "previous_turn", words: "Previous turn", keys: ["K"] },
      { does: "next_failure", words: "Next failure", keys: ["Shift", "J"] },
      { does: "previous_failure", words: "Previous failure", keys: ["Shift", "K"] },
      { does: "open", words: "Open or shut the block", keys: ["Enter"], isFixed: true },
      { does: "copy", words: "Copy the block", keys: ["C"] },
      { does: "end", words: "To the end", keys: ["End"] },
    ],
  ],
  [
    "Message",
    [
      { does: "message", words: "Go to the message field", keys: ["M"] },
      { does: "command", words: "Run a command", keys: ["/"] },
      { does: "send", words: "Send", keys: ["Ctrl", "Enter"], isFixed: true },
      { does: "schedule", words: "Schedule", keys: ["Alt", "T"] },
      { does: "again", words: "Last message again, in an empty field", keys: ["↑"], isFixed: true },
      { does: "leave", words: "Shut what is open, then leave the field", keys: ["Esc"], isFixed: true },
    ],
  ],
];

/** Return whether single letters act. */
function hasSingleKeys() {
  return localStorage.getItem(KEY) !== "off";
}

/**
 * Return what a key press means, as in the table: "Ctrl K", "J", "Shift J", "?". Letters with Alt come from the key's
 * place on the keyboard, because ⌥ makes other characters of them.
 * @param {KeyboardEvent} event
 */
export function nameOf(event) {
  const letter = /^Key([A-Z])$/u.exec(event.code)?.[1];
  const isLetter = event.key.length === 1 && /\p{Letter}/u.test(event.key);
  const key = event.altKey && letter ? letter : isLetter ? event.key.toUpperCase() : event.key;
  const held = [];
  if (event.ctrlKey || event.metaKey) held.push("Ctrl");
  if (event.altKey) held.push("Alt");
  if (event.shiftKey && (isLetter || event.key.length > 1)) held.push("Shift"); // "?" says it already
  return [...held, key].join(" ");
}

/** Return an element for keys. @param {Keys} keys */
export function keyCaps(keys) {
  const named = IS_MAC ? keys.map((key) => ({ Ctrl: "⌘", Alt: "⌥" })[key] ?? key) : keys;
  return h("span", "kbds", ...named.map((key) => h("kbd", "", key)));
}

/** Listens for the keys of the table that the page has handlers for. */
export class Keyboard {
  /** @param {Record<string, () => void>} handlers what a shortcut does → how */
  constructor(handlers) {
    this.handlers = { list: () => this.showList(), ...handlers };
    /** @type {Map<string, string>} */
    this.known = new Map();
    for (const [, shortcuts] of SHORTCUTS) {
      for (const { does, keys } of shortcuts) if (this.handlers[does]) this.known.set(keys.join(" "), does);
    }
    this.prefixAt = -Infinity;
    this.sheet = /** @type {HTMLDialogElement} */ (
      /** @type {unknown} */ (h("dialog", { class: "sheet keys-sheet", "aria-label": "Keyboard" }))
    );
    document.body.append(this.sheet);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const name = nameOf(event);
    const isBare = !/^(?:Ctrl|Alt) /u.test(name);
    const target = event.target instanceof Element ? event.target : null;
    const isTyping = Boolean(target?.closest("input, textarea, select, [contenteditable]"));
    const isInDialog = Boolean(document.querySelector("dialog[open]"));
    if (isBare && (isTyping || isInDialog || (event.key.length === 1 && !hasSingleKeys()))) return;
    const isAfterPrefix = event.timeStamp - this.prefixAt < PREFIX_MS;
    this.prefixAt = -Infinity;
    const does = this.known.get(isAfterPrefix ? `G ${name}` : name);
    if (!does) {
      if (name === "G") this.prefixAt = event.timeStamp;
      return;
    }
    if (isInDialog && does !== "palette") return;
    event.preventDefault();
    this.handlers[does]();
  }

  /** Show the list of all keys, and the switch for single letters. */
  showList() {
    const close = h("button", { type: "button", class: "btn small ghost", onclick: () => this.sheet.close() }, "Close");
    const head = h("div", "ask-in", h("h2", "grow", "Keyboard"), close);
    const sections = SHORTCUTS.map(([title, shortcuts]) => {
      const shown = shortcuts.filter(({ does, isFixed }) => isFixed || this.handlers[does]);
      const rows = shown.map(({ words, keys }) => h("div", "k", h("span", "", words), keyCaps(keys)));
      return h("section", "", h("h3", "", title), ...rows);
    });
    const singles = h("button", {
      type: "button",
      class: "switch",
      role: "switch",
      "aria-label": "Single letters",
      "aria-checked": String(hasSingleKeys()),
    });
    singles.addEventListener("click", () => {
      localStorage.setItem(KEY, hasSingleKeys() ? "off" : "on");
      singles.setAttribute("aria-checked", String(hasSingleKeys()));
    });
    const foot = h("div", "toggle", h("span", "", "Keys of a single letter"), singles);
    this.sheet.replaceChildren(head, h("div", { class: "keys", tabindex: "0" }, ...sections), foot);
    this.sheet.showModal();
    find("button", this.sheet).focus();
  }
}

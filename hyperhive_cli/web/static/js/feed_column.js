/** The column of the feed: the elements of its entries, failed tries folded, and what stands around them. */

import { AwayLine } from "./away.js";
import { h, icon, setText } from "./dom.js";
import { isOver, triesOf } from "./entries.js";
import { counted } from "./feed_words.js";
import { place } from "./placing.js";
import { tick } from "./ticking.js";
import { EntryView } from "./turn_view.js";

/** @import { Entry } from "./entries.js" */
/** @import { Source } from "./feed_source.js" */
/** @import { FeedWindow } from "./feed_window.js" */

/**
 * @typedef {{isFollowing: boolean, isStopped: boolean, draft: HTMLElement}} Now `isStopped`: the agent does not run;
 *   `draft`: what is being written
 */

export class FeedColumn {
  /** @param {Source} source @param {{older: () => void, next: () => void, turn: (turn: number) => void}} go what the buttons do */
  constructor(source, go) {
    this.source = source;
    this.element = h("div", "col");
    this.earlier = h("div", "earlier", wayButton(go.older, icon("up", "s"), "Earlier turns"));
    this.later = h("div", "earlier", wayButton(go.next, icon("end", "s"), "Next turn"));
    this.away = new AwayLine(source.agent, go.turn);
    /** @type {Map<string, EntryView>} */
    this.views = new Map();
    /** @type {Map<string, HTMLDetailsElement>} */
    this.folds = new Map(); // of earlier tries, by message
  }

  /** Make the elements those of the window. @param {FeedWindow} window @param {Now} now */
  draw(window, now) {
    const { entries } = window;
    const last = window.isBroken || window.held.length ? undefined : entries.at(-1);
    /** @type {Map<string, EntryView>} */
    const views = new Map();
    /** @type {Map<string, HTMLDetailsElement>} */
    const folds = new Map();
    /** @type {HTMLElement[]} */
    const elements = [];
    for (const { entry, earlier } of triesOf(entries)) {
      const before = earlier.map((one) => this.viewOf(one, views, last, now));
      const { element } = this.viewOf(entry, views, last, now);
      if (before.length) elements.push(this.foldOf(String(entry.head?.message), before, folds, now.isFollowing));
      elements.push(element);
    }
    [this.views, this.folds] = [views, folds];
    this.away.place(entries, window.isStart, (entry) => {
      const unseen = views.get(keyOf(entry))?.element ?? null;
      elements.splice(Math.max(0, elements.findIndex((element) => element.contains(unseen))), 0, this.away.element);
    });
    if (!window.isStart && entries.length) elements.unshift(this.earlier);
    if (window.isBroken) elements.push(this.later);
    place(this.element, elements);
    tick(this.element);
  }

  /** @param {Entry} entry @param {Map<string, EntryView>} views @param {Entry | undefined} last @param {Now} now */
  viewOf(entry, views, last, { isStopped, draft }) {
    const key = views.has(keyOf(entry)) ? `${keyOf(entry)} ${entry.key}` : keyOf(entry);
    const view = this.views.get(key) ?? new EntryView(entry, this.source);
    const isEnded = isOver(entry, entry === last);
    const state = { isOver: isEnded || isStopped, isStopped: isStopped && !isEnded };
    view.updateIfChanged(entry, { ...state, draft: state.isOver ? null : draft });
    views.set(key, view);
    return view;
  }

  /** Fold the failed tries of a message. @param {string} message @param {EntryView[]} tries @param {Map<string, HTMLDetailsElement>} folds @param {boolean} isFollowing */
  foldOf(message, tries, folds, isFollowing) {
    let fold = this.folds.get(message);
    if (!fold) {
      fold = h("details", "tries", h("summary", "fold", icon("chev", "s"), h("span", "")));
      fold.querySelector("svg")?.classList.add("chev");
      fold.open = !isFollowing; // a try that is being read stays in sight
    }
    const count = tries.filter(({ entry }) => entry.turn !== null).length;
    setText(/** @type {Element} */ (fold.querySelector("summary span")), counted(count, "earlier try", "earlier tries"));
    place(fold, [/** @type {HTMLElement} */ (fold.firstElementChild), ...tries.map(({ element }) => element)]);
    folds.set(message, fold);
    return fold;
  }

  /** The elements by which a place can be kept, from the first that is not above `top` on. @param {number} top */
  *leaves(top) {
    for (const view of this.views.values()) {
      if (view.element.getBoundingClientRect().bottom > top) yield* view.leaves();
    }
  }

  /** @param {number} seq @returns {HTMLElement | null} */
  eventElement(seq) {
    return this.element.querySelector(`[data-seqs~="${seq}"]`);
  }

  /** @param {number} turn @returns {HTMLElement | null} */
  turnElement(turn) {
    return this.element.querySelector(`.turn[data-turn="${turn}"]`);
  }
}

/** @param {() => void} go @param {Node} picture @param {string} words */
function wayButton(go, picture, words) {
  return h("button", { class: "btn small ghost", type: "button", onclick: go }, picture, h("span", "", words));
}

/** @param {Entry} entry */
function keyOf(entry) {
  return entry.turn === null ? entry.key : `t${entry.turn}`;
}

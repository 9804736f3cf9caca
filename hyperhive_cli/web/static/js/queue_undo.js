/** What was cancelled just now can be taken back for 8 s, and longer while the button has the pointer or the focus. */

import { h, setText } from "./dom.js";

const UNDO_S = 8;

export class Undo {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {string} words what was done @param {() => Promise<boolean>} restore */
  offer(words, restore) {
    let left = UNDO_S;
    const seconds = h("span", { class: "num", "aria-hidden": "true" }, `${left} s`);
    const button = h("button", { type: "button", class: "btn small ghost acc" }, "Undo ", seconds);
    const line = h("p", "undo", h("span", "grow", words), button);
    const end = () => {
      clearInterval(timer);
      line.remove();
    };
    const timer = setInterval(() => {
      if (line.matches(":hover, :focus-within")) return;
      left -= 1;
      setText(seconds, `${left} s`);
      if (left <= 0) end();
    }, 1000);
    button.addEventListener("click", async () => {
      button.disabled = true;
      await restore(); // what is refused is said below
      end();
    });
    this.root.append(line);
  }
}

/** The colour switch: as the system, light, dark. */

const KEY = "hyperhive-theme";
const NEXT = new Map([["", "light"], ["light", "dark"], ["dark", ""]]);

/** @param {HTMLElement} button */
export function colourSwitch(button) {
  const chosen = () => document.documentElement.dataset.theme ?? "";
  const show = () => {
    button.setAttribute("aria-label", `Colours: ${chosen() || "as the system"}`);
    button.title = `Colours: ${chosen() || "as the system"}`;
    for (const meta of document.querySelectorAll("meta[name=theme-color]")) {
      meta.setAttribute("content", getComputedStyle(document.body).backgroundColor); // the window of the installed app
    }
  };
  button.addEventListener("click", () => {
    const next = NEXT.get(chosen()) ?? "";
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    localStorage.setItem(KEY, next);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

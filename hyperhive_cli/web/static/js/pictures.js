/**
 * Images that a tool has read: thumbnails, fetched when they are seen, and the whole one in a dialog. They are shown from
 * `blob:` addresses, which are given back as soon as the image is drawn.
 */

import { h, icon } from "./dom.js";
import { bytesWords } from "./feed_words.js";

/** @import { Picture } from "./rows.js" */

/** What a browser draws and cannot run: no SVG, whatever the server says. */
const SHOWN_TYPES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MARGIN = "200px"; // around what is seen

/** @type {WeakMap<Element, () => void>} */
const waiting = new WeakMap();
/** @type {IntersectionObserver | null} */
let seen = null;

/** Do something once an element is seen. @param {Element} element @param {() => void} work */
function whenSeen(element, work) {
  seen ??= new IntersectionObserver((changes, observer) => {
    for (const { target, isIntersecting } of changes) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      waiting.get(target)?.();
      waiting.delete(target);
    }
  }, { rootMargin: MARGIN });
  waiting.set(element, work);
  seen.observe(element);
}

/**
 * @param {Picture[]} pictures @param {(number: number) => Promise<Blob>} fetchPicture
 */
export function thumbnails(pictures, fetchPicture) {
  return h("div", "thumbs", ...pictures.map((picture) => thumbnail(picture, () => fetchPicture(picture.number))));
}

/** @param {Picture} picture @param {() => Promise<Blob>} fetchPicture */
function thumbnail({ type, bytes, name }, fetchPicture) {
  const title = name || "image";
  const caption = h("figcaption", "", `${title} · ${bytesWords(bytes)}`);
  if (!SHOWN_TYPES.has(type)) return h("figure", "thumb", h("span", "no-picture", icon("info")), caption);
  const image = h("img", { alt: title, hidden: true });
  const button = h("button", { type: "button", "aria-label": `Open ${title}` }, image);
  const figure = h("figure", "thumb", button, caption);
  const load = async () => {
    try {
      await draw(image, await fetchPicture());
      image.hidden = false;
      caption.textContent = `${title} · ${image.naturalWidth} × ${image.naturalHeight}`;
    } catch (error) {
      caption.textContent = `${title}: not loaded, ${error instanceof Error ? error.message : error}`;
      button.addEventListener("click", load, { once: true });
    }
  };
  button.addEventListener("click", () => !image.hidden && openLightbox(title, fetchPicture));
  whenSeen(figure, load);
  return figure;
}

/** Draw an image, and give its address back. @param {HTMLImageElement} image @param {Blob} blob */
async function draw(image, blob) {
  if (!SHOWN_TYPES.has(blob.type)) throw new Error("it is not an image that can be shown");
  const address = URL.createObjectURL(blob);
  try {
    image.src = address;
    await image.decode();
  } catch {
    throw new Error("it cannot be read");
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Show the whole image; Esc, or a click, shuts it. @param {string} title @param {() => Promise<Blob>} fetchPicture */
async function openLightbox(title, fetchPicture) {
  const image = h("img", { alt: title });
  const close = h("button", { class: "btn icon close", type: "button", "aria-label": "Close" }, icon("x"));
  const caption = h("p", "meta", title);
  const dialog = h("dialog", { class: "lightbox", "aria-label": title }, close, image, caption);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    await draw(image, await fetchPicture());
    caption.textContent = `${title} · ${image.naturalWidth} × ${image.naturalHeight}`;
  } catch (error) {
    caption.textContent = `${title}: not loaded, ${error instanceof Error ? error.message : error}`;
  }
}

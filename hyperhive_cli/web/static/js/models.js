/** What claude says of models that do not answer, and of those that do in their stead (`claude/sentences.py`). Pure. */

import { saying, short, text } from "./words.js";

/** @import { Line, Sentence } from "./words.js" */

/** @type {Map<string, string>} */
const MODEL_TROUBLES = new Map(
  Object.entries({
    overloaded: "is overloaded",
    server_error: "fails",
    last_resort: "fails",
    model_not_found: "is not known",
    permission_denied: "is not allowed here",
    model_blocked: "is switched off",
  }),
);

/** @param {unknown} name */
function model(name) {
  return short(name).replace(/^claude-/u, "").replace(/[-@]20\d{6}$/u, "") || "another model";
}

/** @type {Sentence} */
export function modelFallback(line) {
  const trouble = MODEL_TROUBLES.get(short(line.trigger));
  const answers = `${model(line.fallback_model)} answers`;
  if (trouble === undefined) return saying(text(line.content) || answers, "warn", "◆");
  return saying(`${model(line.original_model)} ${trouble}: ${answers}`, "warn", "◆");
}

/** @param {Line} line */
function refusal(line) {
  const category = short(line.api_refusal_category);
  return `${model(line.original_model)} refused${category ? ` (${category})` : ""}`;
}

/** @type {Sentence} */
export function refusalFallback(line) {
  const why = text(line.api_refusal_explanation);
  return saying(`${refusal(line)}: ${model(line.fallback_model)} answers${why ? `\n${why}` : ""}`, "warn", "◆");
}

/** @type {Sentence} */
export function refusalAlone(line) {
  const words = text(line.api_refusal_explanation) || text(line.content);
  return saying(`${refusal(line)}, and no other model is tried${words ? `: ${words}` : ""}`, "warn", "!");
}

/** @type {Sentence} */
export function consentFallback(line) {
  const answers = `${model(line.original_model)} needs consent: ${model(line.fallback_model)} answers`;
  return saying(text(line.content) || answers, "warn", "◆");
}

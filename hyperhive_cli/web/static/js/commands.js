/** Slash commands of the input: a table, and how a line is read. Pure. */

/** @typedef {{path: string, body: Record<string, unknown>, done: string}} Operation */
/** @typedef {{operation: Operation} | {message: string} | {mistake: string}} Read */

/** Name → its operation, and what it does. */
export const COMMANDS = new Map([
  [
    "/model",
    { argument: "NAME", says: "the model of the next turn", path: "model", done: "model set, from the next turn on" },
  ],
  [
    "/new",
    {
      argument: "",
      says: "the next turn starts a new session",
      path: "new-session",
      done: "the next turn starts a new session",
    },
  ],
  [
    "/compact",
    { argument: "", says: "shorten the conversation, between two turns", path: "compact", done: "compacted" },
  ],
  [
    "/cancel",
    {
      argument: "",
      says: "end the turn that runs; its message does not come back",
      path: "cancel",
      done: "cancelled",
    },
  ],
  ["/pause", { argument: "", says: "begin no turn until /resume", path: "pause", done: "paused" }],
  ["/resume", { argument: "", says: "go on now", path: "resume", done: "goes on" }],
]);

/**
 * Read what was typed. A line that begins with a slash is a command or a mistake, never a message: a typing
 * error in `/cancel` must not become work for the agent. Two slashes send a message that begins with one.
 * @param {string} text
 * @returns {Read}
 */
export function read(text) {
  const body = text.trim();
  if (!body) return { mistake: "There is nothing to send." };
  if (body.startsWith("//")) return { message: body.slice(1) };
  if (!body.startsWith("/") || body.includes("\n")) return { message: text };
  const [name, ...words] = body.split(/\s+/u);
  const command = COMMANDS.get(name);
  if (!command) return { mistake: `There is no ${name}. A message that begins with a slash is sent with two.` };
  if (command.argument && words.length !== 1)
    return { mistake: `${name} takes one name: ${name} ${command.argument}` };
  if (!command.argument && words.length) return { mistake: `${name} stands alone.` };
  return { operation: { path: command.path, body: command.argument ? { model: words[0] } : {}, done: command.done } };
}

/** Give the commands that could be meant by what was typed so far. @param {string} text */
export function matching(text) {
  if (!text.startsWith("/") || text.startsWith("//") || /\s/u.test(text)) return [];
  return [...COMMANDS].filter(([name]) => name.startsWith(text));
}

/** The slash commands of the input: a table, and how a line is parsed. Pure. */

/** @typedef {{path: string, body: Record<string, unknown>, done: string}} Operation */
/** @typedef {{operation: Operation} | {message: string} | {mistake: string}} Read */

/** Name → its operation, and its help. */
export const COMMANDS = new Map([
  [
    "/model",
    { argument: "NAME", help: "set the model of the next turn", path: "model", done: "model set, from the next turn on" },
  ],
  [
    "/new",
    {
      argument: "",
      help: "start a new session with the next turn",
      path: "new-session",
      done: "the next turn starts a new session",
    },
  ],
  [
    "/compact",
    { argument: "", help: "shorten the conversation between turns", path: "compact", done: "compacted" },
  ],
  [
    "/cancel",
    {
      argument: "",
      help: "interrupt the running turn; its message does not run again",
      path: "cancel",
      done: "cancelled",
    },
  ],
  ["/pause", { argument: "", help: "start no turn until /resume", path: "pause", done: "paused" }],
  ["/resume", { argument: "", help: "continue now", path: "resume", done: "resumed" }],
]);

/**
 * Parse the input. A line that starts with a slash is a command or a mistake, never a message: a mistyped `/cancel`
 * must not become work for the agent. Two slashes send a message that starts with one.
 * @param {string} text
 * @returns {Read}
 */
export function read(text) {
  const body = text.trim();
  if (!body) return { mistake: "Nothing to send." };
  if (body.startsWith("//")) return { message: body.slice(1) };
  if (!body.startsWith("/") || body.includes("\n")) return { message: text };
  const [name, ...words] = body.split(/\s+/u);
  const command = COMMANDS.get(name);
  if (!command) return { mistake: `Unknown command: ${name}. To send a message that starts with a slash, type two.` };
  if (command.argument && words.length !== 1)
    return { mistake: `${name} needs one name: ${name} ${command.argument}` };
  if (!command.argument && words.length) return { mistake: `${name} takes no arguments.` };
  return { operation: { path: command.path, body: command.argument ? { model: words[0] } : {}, done: command.done } };
}

/** Return the commands that complete the input. @param {string} text */
export function matching(text) {
  if (!text.startsWith("/") || text.startsWith("//") || /\s/u.test(text)) return [];
  return [...COMMANDS].filter(([name]) => name.startsWith(text));
}

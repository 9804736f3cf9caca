/** The slash commands of the input: a table, and how a line is parsed. Pure. */

/** @typedef {{path: string, body: Record<string, unknown>, done: string}} Operation */
/** @typedef {{operation: Operation} | {message: string} | {mistake: string}} Read */

/** Name → its operation, and its help. */
export const COMMANDS = new Map(
  Object.entries({
    "/model": {
      argument: "NAME",
      help: "set the model of the next turn",
      path: "model",
      done: "model set, from the next turn on",
    },
    "/new": command("new-session", "start a new session with the next turn", "the next turn starts a new session"),
    "/compact": command("compact", "shorten the conversation between turns", "compacted"),
    "/cancel": command("cancel", "interrupt the running turn; its message does not run again", "cancelled"),
    "/pause": command("pause", "start no turn until /resume", "paused"),
    "/resume": command("resume", "continue now", "resumed"),
  }),
);

/** @param {string} path @param {string} help @param {string} done */
function command(path, help, done) {
  return { argument: "", help, path, done };
}

/**
 * Parse the input. A line that starts with a slash is a command or a mistake, never a message: a mistyped `/cancel`
 * must not become work for the agent. Two slashes send a message that starts with one.
 * @param {string} text @returns {Read}
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

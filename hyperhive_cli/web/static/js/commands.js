/** The slash commands of the input: a table, and how a line is parsed. Pure. */

/** @typedef {"login" | "help" | "budget"} Local what the page itself does */
/** @typedef {{path: string, body: Record<string, unknown>, done: string}} Operation */
/** @typedef {{operation: Operation} | {local: Local} | {message: string} | {mistake: string}} Read */
/**
 * @typedef {{argument: string, help: string, path?: string, field?: string, done?: string, local?: Local}} Command
 *   `argument`: "" for none, in brackets if it may be left out; `local`: what a command without a path or argument opens
 */

/** Name → what it does. @type {Map<string, Command>} */
const COMMANDS = new Map([
  [
    "/model",
    {
      argument: "NAME",
      help: "Model of the next turn",
      path: "model",
      field: "model",
      done: "Model set, from the next turn on",
    },
  ],
  ["/new", command("new-session", "Forget the conversation, keep the files", "The next turn starts a new session")],
  ["/compact", command("compact", "Shorten the context between turns", "Compacted")],
  ["/cancel", command("cancel", "Cancel the running turn; its message does not run again", "Turn cancelled")],
  ["/pause", command("pause", "Start no turn until you resume", "Paused")],
  ["/resume", command("resume", "Continue now", "Resumed")],
  [
    "/budget",
    {
      argument: "[DOLLARS]",
      help: "Raise today’s budget",
      path: "budget/raise",
      field: "amount",
      done: "Budget raised",
      local: "budget",
    },
  ],
  ["/login", { argument: "", help: "Log in to Claude", local: "login" }],
  ["/help", { argument: "", help: "Show the keys", local: "help" }],
]);

/** @param {string} path @param {string} help @param {string} done @returns {Command} */
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
  const found = COMMANDS.get(name);
  if (!found) return { mistake: `Unknown command: ${name}. To send a message that starts with a slash, type two.` };
  const { argument, path = "", field = "", done = "", local } = found;
  if (!argument && words.length) return { mistake: `${name} takes no arguments.` };
  if (local && !words.length) return { local };
  if (argument && words.length !== 1) return { mistake: `${name} needs one value: ${name} ${argument}` };
  if (field === "amount" && !(Number(words[0]) > 0)) return { mistake: `Not an amount of dollars: ${words[0]}` };
  const value = field === "amount" ? Number(words[0]) : words[0];
  return { operation: { path, body: argument ? { [field]: value } : {}, done } };
}

/** Return the commands that complete the input. @param {string} text */
export function matching(text) {
  if (!text.startsWith("/") || text.startsWith("//") || /\s/u.test(text)) return [];
  return [...COMMANDS].filter(([name]) => name.startsWith(text));
}

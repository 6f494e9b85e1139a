/** What came back on one connection, as far as it came. */
export interface Seen {
  /** Of the answer; 0 when there was none. */
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Whether the answer is complete; else the connection was closed before, or whoever asked left. */
  readonly isComplete: boolean;
  /** Whether nothing came, or not everything, for as long as it was waited for. */
  readonly isLate: boolean;
}

/** What can be asked of an answer. */
export interface Due {
  /** Whether there has to be an answer at all: what was sent is one whole request of HTTP. */
  readonly isWhole: boolean;
  /** Whether whatever answers is to speak JSON-RPC: somebody else's words may pass through otherwise. */
  readonly isJsonRpc: boolean;
  /** The body that was sent. */
  readonly sent: string;
}

/** Also as JSON has it, where a line ends with two characters. */
const TRACE = /(?:\n|\\n)\s+at \S.*:\d+:\d+|node:internal|\.[jt]s:\d+:\d+|node_modules/;

/** What is wrong with an answer, in a few words each. */
export function faultsOf(seen: Seen, { isWhole, isJsonRpc, sent }: Due): readonly string[] {
  if (seen.isLate) return ["no answer in time"];
  const faults: string[] = [];
  if (isWhole && seen.status === 0) faults.push("closed without an answer");
  if (seen.status !== 0 && (seen.status < 100 || seen.status > 599 || !Number.isInteger(seen.status)))
    faults.push(`status ${seen.status}`);
  if (TRACE.test(seen.body)) faults.push("a stack trace");
  if (!isJsonRpc || seen.status === 0) return faults;
  const messages = messagesOf(seen);
  if (messages === undefined) return [...faults, "not JSON"];
  for (const message of messages) faults.push(...messageFaults(message));
  const asked = askedIn(sent);
  if (!isWhole || asked === undefined || !seen.isComplete || seen.status === 202) return faults;
  const answers = messages.flat().filter((message) => isObject(message) && !("method" in message));
  if (seen.status === 200 && answers.length !== 1) faults.push(`${answers.length} answers`);
  for (const answer of answers) {
    const { id } = answer as { readonly id?: unknown };
    // What is refused before it was read has no id yet.
    const isUnread = id === null && seen.status >= 400;
    if (!isUnread && id !== asked.id) faults.push(`id ${JSON.stringify(id)} for ${JSON.stringify(asked.id)}`);
  }
  return faults;
}

/** What went wrong with the process, from what it said, with where it was. */
export function saidFaults(stderr: string): readonly string[] {
  const said = stderr.split(/\n(?!\s+at )/);
  return said.filter((part) => /unhandled|uncaught|a request failed|FATAL|Warning:/i.test(part));
}

function messagesOf({ contentType, body, isComplete }: Seen): readonly unknown[] | undefined {
  try {
    if (contentType.startsWith("text/event-stream")) {
      const events = body.replaceAll("\r\n", "\n").split("\n\n");
      // What comes after the last empty line is not complete.
      const datas = events.slice(0, isComplete ? undefined : -1).map(dataOf);
      return datas.filter((data) => data !== "").map((data) => JSON.parse(data));
    }
    if (!contentType.startsWith("application/json")) return [];
    return isComplete ? [JSON.parse(body)] : [];
  } catch {
    return undefined;
  }
}

function dataOf(event: string): string {
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}

function messageFaults(message: unknown): readonly string[] {
  if (Array.isArray(message)) return message.flatMap(messageFaults);
  if (!isObject(message)) return ["a message that is no object"];
  const { jsonrpc, id, method, result, error } = message;
  if (jsonrpc !== "2.0") return ["jsonrpc is not 2.0"];
  if (method !== undefined) return typeof method === "string" ? [] : ["a method that is no string"];
  if (id !== null && typeof id !== "string" && typeof id !== "number") return ["an id that is none"];
  if ((result === undefined) === (error === undefined)) return ["neither a result nor an error, or both"];
  if (error === undefined) return isObject(result) ? [] : ["a result that is no object"];
  if (!isObject(error) || !Number.isInteger(error.code) || typeof error.message !== "string")
    return ["an error without code and message"];
  return [];
}

/** The request that was sent, if it is one that is to be answered under its id. */
function askedIn(sent: string): { readonly id: string | number } | undefined {
  try {
    const message: unknown = JSON.parse(sent);
    if (!isObject(message) || typeof message.method !== "string" || message.jsonrpc !== "2.0")
      return undefined;
    const { id } = message;
    return typeof id === "string" || (typeof id === "number" && Number.isInteger(id)) ? { id } : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

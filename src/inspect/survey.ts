import { shortened } from "../log/one-line.ts";
import { headerParams } from "../protocol/headers.ts";
import { isObject, type JsonObject, type JsonRpcRequest, type JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { LATEST_LEGACY_VERSION, LEGACY_VERSIONS } from "../protocol/legacy.ts";
import { late } from "../upstream/failure.ts";
import {
  CLIENT_INFO,
  type Client,
  EVERYTHING,
  type LegacyClient,
  type Listener,
  refusalOf,
  type Sessions,
  textIn,
} from "./clients.ts";
import type {
  CallEnd,
  CallFacts,
  Facts,
  LegacyFacts,
  ListFacts,
  Question,
  SecondSession,
  ToolFacts,
  VersionFacts,
} from "./facts.ts";
import { Misuse, wordsOf } from "./unfit.ts";

/** A call to make and measure. */
export interface Wanted {
  readonly tool: string;
  readonly args: JsonObject;
  readonly timeoutMs: number;
}

export type Survey = Pick<Facts, "listed" | "declared" | "call">;

/**
 * Compares what the server lists for a client that declares nothing (`listed`) with what it lists for `caller`, which declares everything,
 * and makes the wanted call. Without a `caller` it compares nothing.
 * @throws Misuse when the call cannot be made
 */
export async function survey(
  { tools: plain, facts }: Listed,
  caller: Client | undefined,
  wanted: Wanted | undefined,
): Promise<Survey> {
  const known = caller && plain && (await toolsOf(caller).catch(() => plain));
  const tools = known ?? plain ?? [];
  const [names, plainNames] = [tools, plain ?? []].map((list) => list.map(({ name }) => String(name)));
  const more = tools.filter(({ name }) => !plainNames?.includes(String(name)));
  const less = (plainNames ?? []).filter((name) => !names?.includes(name));
  const declared = { more: more.map(({ name }) => String(name)), less };
  const found = {
    listed: { ...facts, tools: [...facts.tools, ...more.map(toolFacts)] },
    declared: more.length + less.length === 0 ? undefined : declared,
  };
  if (wanted === undefined) return found;
  if (caller === undefined)
    throw new Misuse("the call was not made: the server takes no session that declares something");
  if (plain !== undefined && !names?.includes(wanted.tool)) {
    const tool = JSON.stringify(wanted.tool);
    throw new Misuse(`--call: there is no tool ${tool}; the tools are ${names?.join(", ") || "(none)"}`);
  }
  return { ...found, call: await measure(caller, wanted) };
}

/** The tools as listed, absent if they cannot be listed, and the facts of all lists. */
export interface Listed {
  readonly tools: readonly JsonObject[] | undefined;
  readonly facts: ListFacts;
}

/** Lists everything that the server declares. A list that fails becomes a problem in the facts. */
export async function listAll(client: Client): Promise<Listed> {
  const problems: string[] = [];
  const { capabilities } = client.description;
  const list = async (capability: string, field: string, method = `${field}/list`) => {
    if (capabilities[capability] === undefined) return undefined;
    return listOne(client, method, field).catch((error: unknown) => {
      problems.push(`${method}: ${wordsOf(error)}`);
      return undefined;
    });
  };
  const tools = capabilities.tools === undefined ? [] : (await list("tools", "tools"))?.filter(isNamed);
  const counts = {
    prompts: (await list("prompts", "prompts"))?.length,
    resources: (await list("resources", "resources"))?.length,
    resourceTemplates: (await list("resources", "resourceTemplates", "resources/templates/list"))?.length,
  };
  return { tools, facts: { tools: (tools ?? []).map(toolFacts), ...counts, problems } };
}

async function toolsOf(client: Client): Promise<readonly JsonObject[]> {
  if (client.description.capabilities.tools === undefined) return [];
  return (await listOne(client, "tools/list", "tools")).filter(isNamed);
}

const isNamed = ({ name }: JsonObject) => typeof name === "string";
/** How many pages to follow: a list may never end. */
const MAX_PAGES = 100;
const MAX_ITEMS = 100_000;

async function listOne(client: Client, method: string, field: string): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = [];
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const response = await client.ask(method, cursor === undefined ? {} : { cursor });
    if ("error" in response) throw new Error(`the server refused: ${response.error.message}`);
    const { [field]: listed, nextCursor } = response.result;
    if (!Array.isArray(listed)) throw new Error(`the answer has no list of ${field}`);
    for (const item of listed) if (isObject(item)) items.push(item);
    if (items.length > MAX_ITEMS) throw new Error(`the list has more than ${MAX_ITEMS} ${field}`);
    if (typeof nextCursor !== "string") return items;
    cursor = nextCursor;
  }
  throw new Error(`the list does not end within ${MAX_PAGES} pages`);
}

const HINTS = ["readOnlyHint", "idempotentHint", "destructiveHint", "openWorldHint"] as const;

function toolFacts({ name, annotations, execution, inputSchema }: JsonObject): ToolFacts {
  const given = isObject(annotations) ? annotations : {};
  const hints = HINTS.filter((hint) => typeof given[hint] === "boolean").map((hint) => [hint, given[hint]]);
  const mirrored = headerParams(inputSchema);
  return {
    name: String(name),
    ...Object.fromEntries(hints),
    taskSupport: textIn(isObject(execution) ? execution.taskSupport : undefined),
    headerParams: mirrored === undefined ? "invalid" : mirrored.length || undefined,
  };
}

/** How long a ping may take; longer means that something has happened to the session. */
const PING_MS = 5_000;

export async function answersPing(client: Client): Promise<boolean> {
  const response = await client.ask("ping", {}, PING_MS).catch(() => undefined);
  return response !== undefined && "result" in response;
}

/**
 * Finds out what a legacy server lists, how it takes a second session, how the wanted call goes, and which versions it accepts: in the order
 * that loses least if the server takes no more sessions. Ends the first session.
 * @throws Misuse when the call cannot be made
 */
export async function surveyLegacy(
  first: LegacyClient,
  sessions: Sessions,
  wanted: Wanted | undefined,
): Promise<Survey & { readonly legacy: LegacyFacts }> {
  const pings = await answersPing(first);
  const listed = await listAll(first);
  const { caller, secondSession } = await openSecond(first, sessions, pings);
  const found = await survey(listed, caller, wanted);
  await caller?.close();
  return { legacy: { ...(await versionsOf(first, sessions)), answersPing: pings, secondSession }, ...found };
}

/** Opens a session that declares everything while the first is open, and ends the first. No `caller`: the server takes no other session. */
async function openSecond(
  first: Client,
  sessions: Sessions,
  pings: boolean,
): Promise<{ readonly caller?: Client; readonly secondSession: SecondSession }> {
  try {
    const caller = await sessions.open(EVERYTHING);
    const isAlive = !pings || (await answersPing(first));
    await first.close();
    const reason = "the first did not answer ping any more";
    return { caller, secondSession: isAlive ? { outcome: "works" } : { outcome: "ends the first", reason } };
  } catch (error) {
    await first.close();
    const caller = await sessions.open(EVERYTHING).catch(() => undefined);
    const reason = wordsOf(error);
    if (caller === undefined) return { secondSession: { outcome: "fatal", reason } };
    return { caller, secondSession: { outcome: "refused", reason } };
  }
}

/** Tries every version but the newest, which the first session used, until the server takes no more sessions. */
export async function versionsOf({ protocolVersion }: LegacyClient, sessions: Sessions) {
  const versions: VersionFacts[] = [{ asked: LATEST_LEGACY_VERSION, answered: protocolVersion }];
  for (const asked of LEGACY_VERSIONS.filter((version) => version !== LATEST_LEGACY_VERSION)) {
    if (versions.at(-1)?.isLost === true) break;
    versions.push(await negotiate(asked, sessions));
  }
  return { protocolVersion, versions };
}

async function negotiate(asked: string, sessions: Sessions): Promise<VersionFacts> {
  const params = { protocolVersion: asked, capabilities: {}, clientInfo: CLIENT_INFO };
  try {
    const response = await sessions.once("initialize", params);
    if ("error" in response) return { asked, refusal: response.error.message };
    const { protocolVersion: answered } = response.result;
    if (typeof answered === "string") return { asked, answered };
    return { asked, refusal: "its answer to initialize names no version" };
  } catch (error) {
    return { asked, refusal: wordsOf(error), isLost: true };
  }
}

/** More questions and longer texts add nothing. */
const MAX_QUESTIONS = 20;
const MAX_TEXT_CHARS = 200;

/** Makes the call, refuses the server's questions, and records what the server says and when. Never rejects. */
async function measure(client: Client, { tool, args, timeoutMs }: Wanted): Promise<CallFacts> {
  const times: Partial<Record<"acceptedMs" | "firstWordMs", number>> = {};
  const questions: Question[] = [];
  let progress: CallFacts["progress"] = { count: 0 };
  let sentAt = performance.now();
  const now = () => Math.round(performance.now() - sentAt);
  const heard = () => {
    times.firstWordMs ??= now();
  };
  const note = ({ method, params }: Asked, answer: string) => {
    const message = quoted(isObject(params) ? params.message : undefined);
    if (questions.length < MAX_QUESTIONS) questions.push({ method, message, answer, afterMs: now() });
  };
  const listener: Listener = {
    onSent: () => {
      sentAt = performance.now();
    },
    onAccepted: () => {
      times.acceptedMs ??= now();
    },
    onProgress: ({ message }) => {
      heard();
      progress = { count: progress.count + 1, last: quoted(message) };
    },
    onNotification: heard,
    onRequest: (request) => {
      heard();
      const { said, answer } = refusalOf(request.method);
      note(request, said);
      return answer;
    },
  };
  const end = await client.ask("tools/call", { name: tool, arguments: args }, timeoutMs, listener).then(
    (response) => {
      heard();
      // `inspect` leaves questions in a result unanswered: only a client can continue such a call (2026-07-28, Multi Round-Trip
      // Requests).
      for (const question of questionsIn(response)) note(question, "left unanswered");
      return endOf(response);
    },
    (error: unknown): CallEnd => {
      const isLate = wordsOf(error) === late("tools/call", timeoutMs).message;
      return isLate ? { kind: "late" } : { kind: "failed", message: wordsOf(error) };
    },
  );
  return { tool, ...times, progress, questions, endedMs: now(), end };
}

/** What the server asks, in a request or in a result. */
type Asked = Pick<JsonRpcRequest, "method"> & { readonly params?: unknown };

function questionsIn(response: JsonRpcResponse): readonly Asked[] {
  const { resultType, inputRequests: asked } = "result" in response ? response.result : {};
  if (resultType !== "input_required" || !isObject(asked)) return [];
  return Object.values(asked).filter(
    (each): each is JsonObject & Asked => isObject(each) && typeof each.method === "string",
  );
}

function endOf(response: JsonRpcResponse): CallEnd {
  if ("error" in response)
    return {
      kind: "error",
      code: response.error.code,
      message: shortened(response.error.message, MAX_TEXT_CHARS),
    };
  const { result } = response;
  if (result.resultType === "task") return { kind: "task" };
  if (result.resultType === "input_required") return { kind: "asks" };
  const [first] = Array.isArray(result.content) ? result.content : [];
  return {
    kind: "result",
    bytes: Buffer.byteLength(JSON.stringify(result)),
    isError: result.isError === true,
    text: quoted(isObject(first) ? first.text : undefined),
  };
}

/** The beginning of what the server says, if it is a text. */
function quoted(said: unknown): string | undefined {
  const text = textIn(said);
  return text && shortened(text, MAX_TEXT_CHARS);
}

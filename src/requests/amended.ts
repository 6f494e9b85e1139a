/**
 * Adds tasks to a server's answers. Text in, text out: everything else stays as the server wrote it, down to its numbers, escapes, white
 * space and duplicate keys, of which the last counts, as with `JSON.parse`. Text that is no JSON, or is nested deeper than the stack (some
 * thousand levels), comes back unchanged.
 */

import { type Node, parseTree } from "jsonc-parser";
import { EVENTS_EXTENSION } from "../protocol/events.ts";
import { isObject, type JsonObject, parseJson, toJson } from "../protocol/jsonrpc.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import { TASKS_EXTENSION } from "../protocol/modern.ts";

/**
 * `initialize`'s answer with the capability for tasks (2025-11-25, Tasks §Capabilities). Unchanged unless it is a result that negotiated
 * that revision, has tools and declares no tasks.
 */
export function withTasksCapability(message: string, tasks: JsonObject): string {
  const said = readInitializeResult(message);
  if (said?.protocolVersion !== TASKS_2025 || said.hasTasks || !isObject(said.capabilities.tools))
    return message;
  const capabilities = member(member(treeOf(message), "result"), "capabilities");
  return capabilities === undefined ? message : spliced(message, [added(capabilities, "tasks", tasks)]);
}

/**
 * `server/discover`'s answer with the Tasks extension (Tasks §Capability Negotiation). Unchanged unless it is a result with capabilities
 * that do not name the extension.
 */
export function withTasksExtension(message: string): string {
  const capabilities = member(member(treeOf(message), "result"), "capabilities");
  if (capabilities?.type !== "object") return message;
  return spliced(message, extensionEdits(capabilities, TASKS_EXTENSION));
}

/** The same with the Events extension, and with `events`, which some clients look for instead. */
export function withEventsExtension(message: string): string {
  const capabilities = member(member(treeOf(message), "result"), "capabilities");
  if (capabilities?.type !== "object" || member(capabilities, "events") !== undefined) return message;
  const edits = extensionEdits(capabilities, EVENTS_EXTENSION);
  return edits.length === 0 ? message : withEventsMember(spliced(message, edits));
}

function withEventsMember(message: string): string {
  const capabilities = member(member(treeOf(message), "result"), "capabilities");
  return capabilities === undefined ? message : spliced(message, [added(capabilities, "events", {})]);
}

/** None if the extension is named already. */
function extensionEdits(capabilities: Node, name: string): readonly Edit[] {
  const extensions = member(capabilities, "extensions");
  if (extensions === undefined) return [added(capabilities, "extensions", { [name]: {} })];
  if (extensions.type !== "object") return [replaced(extensions, { [name]: {} })];
  return member(extensions, name) === undefined ? [added(extensions, name, {})] : [];
}

/** How a tool supports tasks (2025-11-25, Tasks §Tool-Level Negotiation). */
export type TaskSupport = "forbidden" | "optional" | "required";

/**
 * `tools/list`'s answer with the policy's `execution.taskSupport` for each tool, whatever the server said; the rest of `execution` stays,
 * and an `execution` that is no object is replaced. Unchanged unless it is a result with a list of tools; entries of the list that are
 * no objects or have no name stay.
 */
export function withTaskSupport(message: string, supportOf: (tool: string) => TaskSupport): string {
  const tools = member(member(treeOf(message), "result"), "tools");
  if (tools?.type !== "array") return message;
  const edits = (tools.children ?? []).map((tool) => supportEdit(tool, supportOf));
  return spliced(
    message,
    edits.filter((edit) => edit !== undefined),
  );
}

/** How `tools/list` looks for a client that knows no tasks, but gets long results by calling a tool. */
export interface FallbackListing {
  /** To be added. */
  readonly tools: readonly JsonObject[];
  /** Whether a call of a tool may be answered by a text that is not the tool's result. */
  readonly mayDetach: (tool: string) => boolean;
  /** Takes the names on the page, and whether it is the last. Returns whether to change anything. */
  readonly onListed: (names: ReadonlySet<string>, isLast: boolean) => boolean;
}

/**
 * `tools/list`'s answer with further tools, and without the `outputSchema` of tools whose calls may be answered by something else: official
 * clients refuse an answer without `structuredContent` otherwise (2025-06-18, Tools §Output Schema). Unchanged unless it is a result with a
 * list of tools.
 */
export function withFallbackTools(
  message: string,
  { tools: extra, mayDetach, onListed }: FallbackListing,
): string {
  const result = member(treeOf(message), "result");
  const tools = member(result, "tools");
  if (tools?.type !== "array") return message;
  const named = (tools.children ?? []).map((tool) => ({
    tool,
    name: member(tool, "name")?.value as unknown,
  }));
  const names = named.map(({ name }) => name).filter((name) => typeof name === "string");
  const isLast = typeof member(result, "nextCursor")?.value !== "string";
  if (!onListed(new Set(names), isLast)) return message;
  const edits = named.flatMap(({ tool, name }) =>
    typeof name === "string" && mayDetach(name) ? removals(tool, "outputSchema") : [],
  );
  const last = tools.children?.at(-1);
  const offset = last === undefined ? tools.offset + 1 : endOf(last);
  const text = extra.map((tool, index) => `${last === undefined && index === 0 ? "" : ","}${toJson(tool)}`);
  return spliced(message, [...edits, { offset, length: 0, text: text.join("") }]);
}

/** A result that is parsed already, changed as the text of its message would be. */
export function amendedResult(result: JsonObject, amend: (message: string) => string): JsonObject {
  const { result: amended } = JSON.parse(amend(toJson({ result }))) as { readonly result: JsonObject };
  return amended;
}

/** A server's answer to `initialize`. */
export interface InitializeResult {
  /** The negotiated version. */
  readonly protocolVersion: string;
  /** Whether the server itself declares tasks. */
  readonly hasTasks: boolean;
  readonly capabilities: JsonObject;
  readonly result: JsonObject;
}

/** Reads the answer to `initialize`; `undefined` when it is no result of that method. */
export function readInitializeResult(message: string): InitializeResult | undefined {
  const answer = parseJson(message);
  if (!isObject(answer) || !isObject(answer.result)) return undefined;
  const { result } = answer;
  const { protocolVersion, capabilities } = result;
  if (typeof protocolVersion !== "string" || !isObject(capabilities)) return undefined;
  return { protocolVersion, hasTasks: Object.hasOwn(capabilities, "tasks"), capabilities, result };
}

/** A span of the message, and its new text. */
interface Edit {
  readonly offset: number;
  readonly length: number;
  readonly text: string;
}

function supportEdit(tool: Node, supportOf: (tool: string) => TaskSupport): Edit | undefined {
  const name: unknown = member(tool, "name")?.value;
  if (typeof name !== "string") return undefined;
  const taskSupport = supportOf(name);
  const execution = member(tool, "execution");
  if (execution === undefined) return added(tool, "execution", { taskSupport });
  if (execution.type !== "object") return replaced(execution, { taskSupport });
  const said = member(execution, "taskSupport");
  if (said === undefined) return added(execution, "taskSupport", taskSupport);
  return said.value === taskSupport ? undefined : replaced(said, taskSupport);
}

function added(object: Node, key: string, value: unknown): Edit {
  const last = object.children?.at(-1);
  const offset = last === undefined ? object.offset + 1 : last.offset + last.length;
  return { offset, length: 0, text: `${last === undefined ? "" : ","}${toJson(key)}:${toJson(value)}` };
}

/** Takes out every member of this name, with the comma that goes with it. */
function removals(object: Node, key: string): readonly Edit[] {
  const members = object.children ?? [];
  const isGone = (node: Node) => node.children?.[0]?.value === key;
  const kept = members.findIndex((node) => !isGone(node));
  const leading = kept === -1 ? members.length : kept;
  const cut = (from: number, to: number): Edit => ({ offset: from, length: to - from, text: "" });
  const first = members[0];
  const end = members[kept]?.offset ?? endOf(members.at(-1));
  const head = first !== undefined && leading > 0 ? [cut(first.offset, end)] : [];
  const rest = members.flatMap((node, index) =>
    index > leading && isGone(node) ? [cut(endOf(members[index - 1]), endOf(node))] : [],
  );
  return [...head, ...rest];
}

function endOf(node: Node | undefined): number {
  return node === undefined ? 0 : node.offset + node.length;
}

function replaced({ offset, length }: Node, value: unknown): Edit {
  return { offset, length, text: toJson(value) };
}

/** @param edits in the order of the text */
function spliced(text: string, edits: readonly Edit[]): string {
  const parts: string[] = [];
  let end = 0;
  for (const edit of edits) {
    parts.push(text.slice(end, edit.offset), edit.text);
    end = edit.offset + edit.length;
  }
  return parts.join("") + text.slice(end);
}

function member(node: Node | undefined, key: string): Node | undefined {
  if (node?.type !== "object") return undefined;
  return node.children?.findLast(({ children }) => children?.[0]?.value === key)?.children?.[1];
}

function treeOf(text: string): Node | undefined {
  if (parseJson(text) === undefined) return undefined;
  try {
    return parseTree(text);
  } catch {
    // `parseTree` recurses, and the text is nested too deeply.
    return undefined;
  }
}

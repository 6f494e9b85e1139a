import { setTimeout as sleep } from "node:timers/promises";
import { type HeaderParam, headerParams } from "../protocol/headers.ts";
import { isObject, type JsonObject, type JsonRpcResponse } from "../protocol/jsonrpc.ts";

type Ask = (method: string, params: JsonObject) => Promise<JsonRpcResponse>;

/** A server that changes its tools without saying so is believed again after this long. */
const MAX_AGE_MS = 60_000;
/** Callers of tools that do not exist do not make us ask more often than this. */
const MIN_AGE_MS = 1_000;
/** A call waits no longer than this for the list. */
const PATIENCE_MS = 2_000;
const MAX_PAGES = 100;
/** Nobody calls so many: a server that lists more has lost count, and what is kept of them is kept for every caller. */
const MAX_TOOLS = 20_000;

type Tools = ReadonlyMap<string, KnownTool>;

/** What is kept of a tool. */
interface KnownTool {
  readonly headerParams: readonly HeaderParam[];
  readonly isRepeatable: boolean;
}

interface Snapshot {
  readonly takenAt: number;
  readonly tools: Promise<Tools>;
  isListed: boolean;
}

/**
 * What the gateway has to know of a server's tools before it calls one: whether it is listed, which arguments are mirrored in headers,
 * and whether a call may be made twice.
 */
export class ToolCatalogue {
  readonly #ask: Ask;
  #snapshot: Snapshot | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /**
   * The mirrored parameters of a tool; none when the server does not list it, which the call itself will show. `isDoubted`:
   * what was said before did not fit, and the tool may have changed.
   */
  async headerParams(tool: string, isDoubted = false): Promise<readonly HeaderParam[]> {
    return (await this.#find(tool, isDoubted))?.headerParams ?? [];
  }

  /**
   * Whether calling a tool a second time does no more than calling it once, by what the server says of it (Tools §Annotations). Not when
   * it says nothing, does not list the tool, or takes too long.
   */
  async isRepeatable(tool: string): Promise<boolean> {
    return (await this.#find(tool))?.isRepeatable ?? false;
  }

  async isListed(tool: string): Promise<boolean> {
    return (await this.#find(tool)) !== undefined;
  }

  /** The server has said that its tools have changed. */
  invalidate(): void {
    this.#snapshot = undefined;
  }

  async #find(tool: string, isDoubted = false): Promise<KnownTool | undefined> {
    const known = (await this.#soon(isDoubted ? MIN_AGE_MS : MAX_AGE_MS)).get(tool);
    // A list that is not there yet is not one that lacks the tool.
    const isLate = this.#snapshot?.isListed === false;
    return known ?? (isLate ? undefined : (await this.#soon(MIN_AGE_MS)).get(tool));
  }

  /** What is known, or nothing when the server takes too long: its list must not cost a call its handle. */
  async #soon(maxAgeMs: number): Promise<Tools> {
    const tools = this.#tools(maxAgeMs);
    if (this.#snapshot?.isListed) return tools;
    const timer = new AbortController();
    const nothing: Tools = new Map();
    const patience = sleep(PATIENCE_MS, nothing, { signal: timer.signal }).catch(() => nothing);
    const soon = await Promise.race([tools, patience]);
    timer.abort();
    return soon;
  }

  #tools(maxAgeMs: number): Promise<Tools> {
    if (this.#snapshot === undefined || Date.now() - this.#snapshot.takenAt > maxAgeMs) {
      // A server without a list has no tools with annotations either.
      const tools = this.#list().catch((): Tools => new Map());
      const snapshot: Snapshot = { takenAt: Date.now(), tools, isListed: false };
      void tools.then(() => {
        snapshot.isListed = true;
      });
      this.#snapshot = snapshot;
    }
    return this.#snapshot.tools;
  }

  async #list(): Promise<Tools> {
    const tools = new Map<string, KnownTool>();
    let cursor: unknown;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const response = await this.#ask("tools/list", cursor === undefined ? {} : { cursor });
      if ("error" in response) break;
      const listed = Array.isArray(response.result.tools) ? response.result.tools : [];
      for (const tool of listed) {
        if (isObject(tool) && typeof tool.name === "string" && tools.size < MAX_TOOLS)
          tools.set(tool.name, knownOf(tool));
      }
      const { nextCursor } = response.result;
      // Another page that is the same page would be read until nobody may read any more.
      if (typeof nextCursor !== "string" || nextCursor === cursor || tools.size >= MAX_TOOLS) break;
      cursor = nextCursor;
    }
    return tools;
  }
}

function knownOf({ inputSchema, annotations }: JsonObject): KnownTool {
  const { readOnlyHint, idempotentHint } = isObject(annotations) ? annotations : {};
  return {
    headerParams: headerParams(inputSchema) ?? [],
    isRepeatable: readOnlyHint === true || idempotentHint === true,
  };
}

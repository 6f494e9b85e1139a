import { setTimeout as sleep } from "node:timers/promises";
import { steadyNow } from "../lib/clock.ts";
import { type HeaderParam, headerParams } from "../protocol/headers.ts";
import { isObject, type JsonObject, type JsonRpcResponse } from "../protocol/jsonrpc.ts";

type Ask = (method: string, params: JsonObject) => Promise<JsonRpcResponse>;

/** How long the list is trusted: a server may change its tools without a notification. */
const MAX_AGE_MS = 60_000;
/** The shortest time between two lists, so that calls of unknown tools do not cause one each. */
const MIN_AGE_MS = 1_000;
/** How long a call waits for the list. */
const PATIENCE_MS = 2_000;
const MAX_PAGES = 100;
/** More than anybody calls: the server would be listing without end, and the entries are kept for every caller. */
const MAX_TOOLS = 20_000;

type Tools = ReadonlyMap<string, KnownTool>;

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
 * What the gateway needs to know of a server's tools before it calls one: whether the tool is listed, which arguments are mirrored in
 * headers, and whether a call may be repeated.
 */
export class ToolCatalogue {
  readonly #ask: Ask;
  readonly #onListed: (name: string) => void;
  #snapshot: Snapshot | undefined;

  /** @param onListed called with the name of each tool that is listed */
  constructor(ask: Ask, onListed: (name: string) => void = () => {}) {
    this.#ask = ask;
    this.#onListed = onListed;
  }

  /**
   * The parameters of a tool that are mirrored in headers; none when the server does not list the tool, as the call itself will show.
   * `mayHaveChanged`: earlier parameters did not fit, so the tool may have changed and a list older than `MIN_AGE_MS` is read again.
   */
  async headerParams(tool: string, mayHaveChanged = false): Promise<readonly HeaderParam[]> {
    return (await this.#find(tool, mayHaveChanged))?.headerParams ?? [];
  }

  /**
   * Whether a second call of the tool does no more than one, according to its annotations (Tools §Annotations). False when it has none, when
   * the server does not list the tool, or takes too long to.
   */
  async isRepeatable(tool: string): Promise<boolean> {
    return (await this.#find(tool))?.isRepeatable ?? false;
  }

  /** The names of all tools; none when the server does not list them, or takes too long to. */
  async names(): Promise<readonly string[]> {
    return [...(await this.#soon(MAX_AGE_MS)).keys()];
  }

  async isListed(tool: string): Promise<boolean> {
    return (await this.#find(tool)) !== undefined;
  }

  /** Call this when the server announces that its tools have changed. */
  invalidate(): void {
    this.#snapshot = undefined;
  }

  async #find(tool: string, mayHaveChanged = false): Promise<KnownTool | undefined> {
    const known = (await this.#soon(mayHaveChanged ? MIN_AGE_MS : MAX_AGE_MS)).get(tool);
    // While the list is still loading, a missing tool proves nothing.
    const isLate = this.#snapshot?.isListed === false;
    return known ?? (isLate ? undefined : (await this.#soon(MIN_AGE_MS)).get(tool));
  }

  /** The tools, or none after `PATIENCE_MS`: a slow list must not keep a call from getting its task. */
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
    if (this.#snapshot === undefined || steadyNow() - this.#snapshot.takenAt > maxAgeMs) {
      // A server without a list has no tools with annotations either.
      const tools = this.#list().catch((): Tools => new Map());
      const snapshot: Snapshot = { takenAt: steadyNow(), tools, isListed: false };
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
        if (!isObject(tool) || typeof tool.name !== "string" || tools.size >= MAX_TOOLS) continue;
        tools.set(tool.name, knownOf(tool));
        this.#onListed(tool.name);
      }
      const { nextCursor } = response.result;
      // A repeated cursor would read the same page up to `MAX_PAGES` times.
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

import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";

/** Far more than any server has, and few enough to keep: a server might list others for each caller. */
const MAX_TOOLS = 10_000;
/** Twice the recommended length of a tool's name (Tools §Tool Names). */
const MAX_CHARS = 256;

/** The names of a server's tools, as any of its lists has given them to this gateway, for whichever caller. */
export class ListedTools {
  readonly #names = new Set<string>();

  get size(): number {
    return this.#names.size;
  }

  note(name: string): void {
    if (name.length <= MAX_CHARS && this.#names.size < MAX_TOOLS) this.#names.add(name);
  }

  /** Notes the names in a result of `tools/list`, which may be anything. */
  noteAll({ tools }: JsonObject): void {
    for (const tool of Array.isArray(tools) ? tools : [])
      if (isObject(tool) && typeof tool.name === "string") this.note(tool.name);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }
}

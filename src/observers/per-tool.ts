/** A server whose tools are counted each by itself. */
export interface ListingServer {
  readonly name: string;
  /** Whether the server itself lists a tool of this name. */
  readonly lists: (tool: string) => boolean;
}

/** For each server. */
const MAX_TOOLS = 200;
/** What has no name of its own. OpenTelemetry writes it so for types of errors. */
export const OTHER = "_other";

/** What is counted for each tool: clients may call any name, so only tools that the server lists have their own, and not more than `MAX_TOOLS`. */
export class PerTool<Counted> {
  readonly #lists: ListingServer["lists"];
  readonly #make: (name: string) => Counted;
  readonly #tools = new Map<string, Counted>();
  #others: Counted | undefined;

  constructor(lists: ListingServer["lists"], make: (name: string) => Counted) {
    this.#lists = lists;
    this.#make = make;
  }

  /** Of a tool with a name of its own. `undefined`: it has none. */
  find(name: string): Counted | undefined {
    const known = this.#tools.get(name);
    if (known !== undefined || this.#tools.size >= MAX_TOOLS || !this.#lists(name)) return known;
    const made = this.#make(name);
    this.#tools.set(name, made);
    return made;
  }

  /** Of all tools without a name of their own. */
  get others(): Counted {
    this.#others ??= this.#make(OTHER);
    return this.#others;
  }

  /** All that there is, by name; the others last. */
  get entries(): readonly (readonly [string, Counted])[] {
    return [...this.#tools, ...(this.#others === undefined ? [] : [[OTHER, this.#others] as const])];
  }
}

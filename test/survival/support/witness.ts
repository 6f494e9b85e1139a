import { fileURLToPath } from "node:url";
import { request } from "undici";
import { Programs } from "../../demo/programs.ts";

/** What a server has seen of one call. */
export interface Seen {
  readonly calls: number;
  readonly returned: number;
  /** How often it was told that the call is cancelled. */
  readonly cancelled: number;
  /** How many answers its questions got. */
  readonly answers: number;
}

/** Whether a server keeps the events of its streams, so that they can be picked up again; or one of 2026-07-28, which has no such streams. */
export const KINDS = ["kept", "unkept", "modern"] as const;
export type Kind = (typeof KINDS)[number];

export interface Witness {
  readonly urls: Readonly<Record<Kind, URL>>;
  readonly pid: number;
  /** Every call that has reached it, by its id. */
  all(): Promise<Readonly<Record<string, Seen>>>;
  /** `undefined` when the call never reached it. */
  seen(id: string): Promise<Seen | undefined>;
  /** Looks until something holds of a call; rejects after a minute, saying what it had seen. */
  until(id: string, holds: (seen: Seen) => boolean): Promise<void>;
  stop(): Promise<void>;
}

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** Starts a witness; whoever starts it stops it. */
export async function startWitness(): Promise<Witness> {
  const programs = new Programs();
  const script = fileURLToPath(new URL("witness-server.ts", import.meta.url));
  const program = await programs.start("the witness", [script], {
    ready: /(http:\S+) (http:\S+) (http:\S+) (http:\S+)\n/,
    nodeFlags: ["--import", import.meta.resolve("tsx")],
  });
  const [, kept = "", unkept = "", modern = "", counts = ""] = program.ready;
  const get = async (query = "") => (await request(`${counts}${query}`)).body.json();
  const seen = async (id: string) =>
    ((await get(`?id=${encodeURIComponent(id)}`)) ?? undefined) as Seen | undefined;
  return {
    urls: { kept: new URL(kept), unkept: new URL(unkept), modern: new URL(modern) },
    pid: program.pid,
    all: async () => (await get()) as Readonly<Record<string, Seen>>,
    seen,
    until: async (id, holds) => {
      const deadline = performance.now() + PATIENCE_MS;
      for (;;) {
        const now = await seen(id);
        if (now !== undefined && holds(now)) return;
        if (performance.now() > deadline)
          throw new Error(`waited in vain for call ${id}; the witness saw ${JSON.stringify(now)}`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    },
    stop: () => programs.stop(),
  };
}

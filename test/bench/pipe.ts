import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Carrier } from "./measure.ts";
import { INITIALIZE, INITIALIZED } from "./requests.ts";

const ID = /"id":("?\w+"?)/;

/** The pipes to a server over stdio, with a session that is open. It lives as long as this process. */
export class Pipe {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  /** By the id, as it is written. */
  readonly #waiting = new Map<string, (response: string) => void>();

  static async open(command: string, args: readonly string[]): Promise<Pipe> {
    const pipe = new Pipe(spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] }));
    const { send } = pipe.carrier();
    await send(Buffer.from(`${INITIALIZE}\n`));
    pipe.#child.stdin.write(`${INITIALIZED}\n`);
    return pipe;
  }

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    child.once("close", () => process.exit(1));
    createInterface(child.stdout).on("line", (line) => {
      const id = idOf(line);
      const settle = this.#waiting.get(id);
      this.#waiting.delete(id);
      settle?.(line);
    });
  }

  /** Its requests share the pipes with those of others, whose ids have to differ. */
  carrier(): Carrier {
    return {
      send: (bytes) =>
        new Promise((resolve) => {
          this.#waiting.set(idOf(bytes.toString()), resolve);
          this.#child.stdin.write(bytes);
        }),
      close: () => {},
    };
  }
}

function idOf(message: string): string {
  return ID.exec(message)?.[1] ?? "";
}

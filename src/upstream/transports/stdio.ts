import { within } from "../../lib/within.ts";
import { JsonLimits, MAX_DEPTH } from "../../protocol/json-limits.ts";
import type { JsonRpcMessage, JsonRpcRequest } from "../../protocol/jsonrpc.ts";
import { type FailureFacts, toFailure, UpstreamFailure } from "../failure.ts";
import { Child, type ChildOptions, type Exit } from "./child.ts";
import { LineSplitter } from "./lines.ts";
import { excuse, readMessages, toLine } from "./message-line.ts";
import { type Asking, type AskListener, INITIALIZED, type RawTransport } from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

export type StdioOptions = ChildOptions & {
  /** The largest message of the server, in bytes. */
  readonly maxMessageBytes: number;
  /** How deep a message may be nested; 128 unless given. */
  readonly maxDepth?: number | undefined;
};

/** How long to wait for the exit of a server that closed one of its streams: the exit says more. */
const HANG_UP_MS = 1_000;
const MAX_QUOTED_CHARS = 200;
/** How many lines that are no messages are reported; nobody reads more. */
const MAX_COMPLAINTS = 100;
/** How long the gateway may work on a server's output at a stretch. */
const MAX_STRETCH_MS = 10;
/** A line of this size can be parsed safely, whatever it contains, to see which request the message belongs to. */
const MAX_EXCUSED_BYTES = 1_048_576;
const NEVER_STARTED: FailureFacts = { mayHaveRun: false, hasStarted: false };

/**
 * A session with a process of its own, over its standard streams (2024-11-05 to 2025-11-25, Transports §stdio). Everything arrives on one
 * stream, so a request's own stream ends only with the session.
 */
export class StdioTransport implements RawTransport {
  onMessage: RawTransport["onMessage"] = () => {};
  onUnusable: RawTransport["onUnusable"] = () => {};
  onGarbage: RawTransport["onGarbage"] = () => {};
  onLost: RawTransport["onLost"] = () => {};

  readonly #options: StdioOptions;
  readonly #child: Promise<Child>;
  readonly #lines: LineSplitter;
  /** How to fail each open request. */
  readonly #asked = new Set<(failure: UpstreamFailure) => void>();
  #isInitialized = false;
  /** How many lines were no messages. */
  #skipped = 0;
  #isClosed = false;
  /** How the session ended, if it ended by itself. */
  #ending: Ending | undefined;

  /** Starts the process. If that fails, every message that is sent rejects with the reason. */
  constructor(options: StdioOptions) {
    this.#options = options;
    this.#lines = new LineSplitter(options.maxMessageBytes);
    this.#child = this.#start();
    this.#child.catch(() => {});
  }

  setProtocolVersion(): void {
    this.#isInitialized = true;
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#send(message);
  }

  ask(request: JsonRpcRequest, { onAccepted = () => {} }: AskListener = {}): Asking {
    let stop = () => {};
    const ended = new Promise<void>((_, reject) => {
      stop = () => this.#asked.delete(reject);
      this.#asked.add(reject);
      this.#send(request).then(onAccepted, reject);
    });
    return { ended, stop };
  }

  initialized(notification = INITIALIZED): Promise<void> {
    return this.tell(notification);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.then(
      (child) => child.signal(signal),
      () => {},
    );
  }

  /** Settles when no process of the server is left, or none that can be ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#failAll(closed({ mayHaveRun: true }));
    const child = await this.#child.catch(() => undefined);
    await child?.end();
  }

  async #start(): Promise<Child> {
    const child = await Child.start(this.#options).catch((error: Error) => {
      const message = `The server could not be started: ${error.message}`;
      throw new UpstreamFailure(message, { mayHaveRun: false, hasStarted: false, cause: error });
    });
    child.output.on("data", (chunk: Buffer) => {
      const begun = performance.now();
      this.#read(child, chunk);
      if (performance.now() - begun < MAX_STRETCH_MS) return;
      // Give other work a turn, however fast the server writes.
      child.output.pause();
      setImmediate(() => child.output.resume());
    });
    child.output.once("close", () => void this.#hangUp(child, "closed its output"));
    void child.exited.then((exit) => this.#end(child, { what: named(exit), lastWords: child.lastWords }));
    return child;
  }

  async #send(message: JsonRpcMessage): Promise<void> {
    const child = await this.#child;
    if (this.#isClosed) throw closed({ mayHaveRun: false });
    if (this.#ending !== undefined)
      throw new UpstreamFailure(
        said(this.#ending, ""),
        this.#isInitialized ? { mayHaveRun: false } : NEVER_STARTED,
      );
    await child.input.write(toLine(message)).catch(async (error: unknown) => {
      if (error instanceof UpstreamFailure) throw error;
      const ending = await this.#hangUp(child, "closed its input");
      throw new UpstreamFailure(said(ending, ""), { mayHaveRun: true, cause: error });
    });
  }

  #read(child: Child, chunk: Buffer): void {
    for (const { bytes, isCut } of this.#lines.push(chunk)) {
      if (this.#isClosed || this.#ending !== undefined) return;
      if (isCut) {
        // The rest of the line may be anything, and nothing tells where the next message begins.
        this.#end(child, { what: `sent more than ${this.#options.maxMessageBytes} bytes in one line` });
      } else if (bytes.some(isNoSpace)) {
        this.#receive(child, bytes);
      }
    }
  }

  #receive(child: Child, line: Buffer): void {
    try {
      new JsonLimits(this.#options.maxDepth ?? MAX_DEPTH).take(line);
    } catch (error) {
      return this.#refuse(child, line, toFailure(error));
    }
    for (const message of readMessages(line)) {
      if (message === undefined) this.#skip(line);
      else if (message instanceof UnusableAnswer) this.onUnusable(message);
      else this.onMessage(message);
    }
  }

  /** Drops a message that exceeds a limit, and sends an error to whoever waits for it. */
  #refuse(child: Child, line: Buffer, failure: UpstreamFailure): void {
    if (line.length > MAX_EXCUSED_BYTES)
      return void this.#end(child, { what: `sent too much: ${failure.message}` });
    this.onGarbage(failure);
    const { answer, refusal } = excuse(line, failure.message);
    if (answer !== undefined) this.onMessage(answer);
    if (refusal !== undefined) this.tell(refusal).catch((error: unknown) => this.onGarbage(toFailure(error)));
  }

  /** Skips a line that is no message: some servers greet on stdout, against the specification, and mean no harm. */
  #skip(line: Buffer): void {
    this.#skipped += 1;
    if (this.#skipped > MAX_COMPLAINTS) return;
    const text = line.toString("utf8", 0, MAX_QUOTED_CHARS);
    this.onGarbage(new Error(`expected a JSON-RPC message on stdout, got ${JSON.stringify(text)}`));
    if (this.#skipped > 1) return;
    // Log the text at `debug` only: the line may be a request that the server repeats, with a caller's arguments.
    const said = "the server writes what is no message to stdout; it is ignored";
    this.#options.log.warn({ bytes: line.length }, said);
    this.#options.log.debug({ stdout: text }, said);
  }

  async #hangUp(child: Child, what: string): Promise<Ending> {
    await within(HANG_UP_MS, child.exited);
    return this.#end(child, { what });
  }

  /** Ends the session. The first ending counts, and is returned. */
  #end(child: Child, ending: Ending): Ending {
    if (this.#ending !== undefined) return this.#ending;
    this.#ending = ending;
    void child.end();
    if (this.#isClosed) return ending;
    // Before the requests fail, so that those that may be repeated go to another session.
    if (this.#isInitialized) this.onLost();
    const failure = this.#isInitialized
      ? new UpstreamFailure(said(ending, " in the middle of the call"), { mayHaveRun: true })
      : new UpstreamFailure(said(ending, " before it answered initialize"), NEVER_STARTED);
    this.#failAll(failure);
    return ending;
  }

  #failAll(failure: UpstreamFailure): void {
    for (const reject of this.#asked) reject(failure);
    this.#asked.clear();
  }
}

interface Ending {
  /** `exited with code 1` */
  readonly what: string;
  readonly lastWords?: string | undefined;
}

function named({ code, signal }: Exit): string {
  return signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
}

function said({ what, lastWords }: Ending, when: string): string {
  return `The server ${what}${when}${lastWords === undefined ? "" : `: ${lastWords}`}`;
}

function closed(facts: { readonly mayHaveRun: boolean }): UpstreamFailure {
  return new UpstreamFailure("The session with the server was closed", facts);
}

function isNoSpace(byte: number): boolean {
  return byte > 0x20;
}

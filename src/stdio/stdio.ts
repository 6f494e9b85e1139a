import { isUtf8 } from "node:buffer";
import type { Readable, Writable } from "node:stream";
import type { LegacyHandler } from "../legacy/handler.ts";
import { within } from "../lib/within.ts";
import type { Bytes, SharedBytes } from "../limits/bytes.ts";
import type { ModernHandler } from "../modern/handler.ts";
import type { Traces } from "../observers/traces/traces.ts";
import { rpc } from "../protocol/errors.ts";
import { claimsModern, idOf, readMessage } from "../protocol/inbound.ts";
import { isObject, type JsonRpcMessage, type RequestId, toJson } from "../protocol/jsonrpc.ts";
import { MAX_BATCH } from "../protocol/legacy.ts";
import { errorMessage, resultMessage } from "../protocol/modern.ts";
import { MAX_PARSED_VALUES, readJson } from "../protocol/raw-json.ts";
import { classifyModern } from "../requests/classify.ts";
import { toAnswer } from "../requests/error-answer.ts";
import { ownTool } from "../requests/fallback.ts";
import { type Asked, type Identified, identified, modernServer, type Route } from "../requests/request.ts";
import { type Line, LineSplitter } from "../upstream/transports/lines.ts";
import { isMessage } from "../upstream/transports/unusable-answer.ts";
import { ClientOutput } from "./client-output.ts";
import { LegacyEnd } from "./legacy-client.ts";
import { LineReply } from "./line-reply.ts";

export interface StdioFrontOptions {
  readonly route: Route;
  readonly modern: ModernHandler;
  readonly legacy: Pick<LegacyHandler, "newPair">;
  readonly bytes: Bytes;
  /** The streams that the client writes to and reads from. */
  readonly input: Readable;
  readonly output: Writable;
  /** Whether this client's tasks are the only ones, so that it may list them. */
  readonly isAlone: boolean;
  /** The largest message of the client, in bytes. */
  readonly maxLineBytes: number;
  /** How deep the message's objects and arrays may be nested. */
  readonly maxDepth: number;
  /** How long requests that are open when the client closes its output may take to be answered. */
  readonly drainTimeoutMs: number;
  /** Absent: requests leave no traces. */
  readonly traces?: Traces | undefined;
}

/** How long the last messages may take to get into the pipe. */
const GOODBYE_MS = 1_000;
/** How many requests of 2026-07-28 one client may have open at one time, subscriptions included. */
const MAX_OPEN = 1_000;

/**
 * Serves the one client at the other end of two streams, in either era or in both: a request that names 2026-07-28 is of that revision, and
 * everything else belongs to the session that the client opens with `initialize` (2026-07-28, stdio; 2025-11-25, Transports §stdio;
 * Versioning §Backward Compatibility).
 */
export class StdioFront {
  /**
   * Settles when the client no longer reads, or has nothing more to say and its answers: programs such as a shell's pipe write their requests,
   * close the input, and read on.
   */
  readonly clientLeft: Promise<void>;
  /** Settles when the client's session is over because the server has gone or does not accept it. */
  readonly serverLeft: Promise<void>;
  readonly #options: StdioFrontOptions;
  readonly #who: Identified;
  readonly #output: ClientOutput;
  readonly #lines: LineSplitter;
  readonly #open = new Map<RequestId, LineReply>();
  #legacy: LegacyEnd | undefined;
  #running = 0;
  readonly #waiting = new Set<() => void>();
  #onServerLeft = () => {};
  #onHurry = () => {};

  constructor(options: StdioFrontOptions) {
    const { input, output, maxLineBytes, isAlone, drainTimeoutMs } = options;
    this.#options = options;
    // The same key as anonymous callers over HTTP, so that a task is reachable either way.
    this.#who = identified(options.route, { key: "anonymous", headers: {}, isIdentified: isAlone });
    this.#output = new ClientOutput(output);
    this.#lines = new LineSplitter(maxLineBytes);
    const ended = new Promise<void>((resolve) => {
      // An incomplete last line is no message.
      for (const event of ["end", "close", "error"]) input.on(event, resolve);
    });
    const hurried = new Promise<void>((resolve) => {
      this.#onHurry = resolve;
    });
    const answered = ended.then(() => {
      this.#endSubscriptions();
      return Promise.race([within(drainTimeoutMs, this.idle()), hurried]);
    });
    this.clientLeft = Promise.race([answered, this.#output.broken]).then(() => this.#hangUp());
    this.serverLeft = new Promise((resolve) => {
      this.#onServerLeft = resolve;
    });
    input.on("data", this.#read);
  }

  /** A client that has closed the input, or does so later, is not there any longer to read answers. */
  hurry(): void {
    this.#onHurry();
  }

  /** Settles when the client waits for no answer any more. */
  idle(): Promise<void> {
    return this.#isIdle ? Promise.resolve() : new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Stops reading, and settles when everything has been written and the legacy session has ended. */
  async close(): Promise<void> {
    this.#options.input.off("data", this.#read).pause();
    await Promise.all([this.#legacy?.end(), within(GOODBYE_MS, this.#output.flushed())]);
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#legacy?.isWaiting !== true;
  }

  readonly #read = (chunk: Buffer): void => {
    for (const line of this.#lines.push(chunk)) this.#takeLine(line);
    if (!this.#output.isClogged) return;
    const { input } = this.#options;
    input.pause();
    void this.#output.drained().then(() => input.resume());
  };

  #takeLine({ bytes, isCut }: Line): void {
    if (isCut) {
      const { maxLineBytes } = this.#options;
      this.#refuse(
        null,
        rpc.invalidRequest(`a line may have ${maxLineBytes} bytes at most (limits.maxBody)`),
      );
    } else if (!isUtf8(bytes)) {
      this.#refuse(null, rpc.parseError("the line is not UTF-8"));
    } else if (!isBlank(bytes)) {
      this.#readText(bytes);
    }
  }

  #readText(bytes: Buffer): void {
    const { maxDepth } = this.#options;
    const read = readJson(bytes, maxDepth, MAX_BATCH);
    switch (read.kind) {
      case "json":
        return this.#take(read.value, bytes.length);
      case "invalid":
        return this.#refuse(null, rpc.parseError("the line is not JSON"));
      case "tooDeep":
        return this.#refuse(null, rpc.tooDeep(maxDepth));
      case "tooManyValues":
        return this.#refuse(null, rpc.tooManyValues(MAX_PARSED_VALUES));
      case "tooManyElements":
        return this.#refuse(null, rpc.batchTooLong(MAX_BATCH));
    }
  }

  #take(message: unknown, bytes: number): void {
    const held = this.#options.bytes.hold(this.#who.quotaKey);
    let refusal: unknown;
    try {
      held.expect(bytes);
    } catch (error) {
      refusal = error;
    }
    held.add(bytes);
    // A line of a 2025-03-26 client may be a batch.
    const isBatch = Array.isArray(message) && message.length > 0 && this.#legacy !== undefined;
    if (isBatch) for (const part of message) this.#receive(part, held.part(), refusal);
    else this.#receive(message, held, refusal);
    held.release();
  }

  /** @param refusal why requests are refused now, if they are. Answers and cancellations are still taken: they free memory */
  #receive(message: unknown, held: SharedBytes, refusal: unknown): void {
    try {
      if (this.#isCancelled(message)) return;
      if (
        refusal !== undefined &&
        isObject(message) &&
        message.method !== undefined &&
        message.id !== undefined
      )
        throw refusal;
      if (claimsModern(message)) this.#answer(message, held);
      else if (isMessage(message)) this.#relay(message, held);
      // Throws with what is wrong.
      else readMessage(message);
    } catch (error) {
      this.#refuse(idOf(message), error, message);
    }
  }

  /** Cancels the open request that the message names. Returns whether it was such a cancellation. */
  #isCancelled(message: unknown): boolean {
    if (!isObject(message) || message.method !== "notifications/cancelled") return false;
    const { requestId, reason } = isObject(message.params) ? message.params : {};
    const reply = this.#open.get(requestId as RequestId);
    reply?.cancel(new Error(typeof reason === "string" ? reason : "cancelled by the client"));
    return reply !== undefined;
  }

  #answer(message: unknown, held: SharedBytes): void {
    const { id, method, params = {} } = readMessage(message);
    // A server has no use for other notifications of a client (2026-07-28).
    if (id === undefined) return;
    // The client would take its answer, or an error under its id, for the answer to the open request.
    if (this.#open.has(id)) return this.#refuse(null, rpc.invalidRequest(`id ${toJson(id)} is in use`));
    if (this.#open.size >= MAX_OPEN) throw rpc.internal(`Too many requests: ${MAX_OPEN} are open`);
    const reply = new LineReply({
      id,
      output: this.#output,
      isSubscription: method === "subscriptions/listen",
      onOver: () => this.#open.delete(id),
    });
    this.#open.set(id, reply);
    const { route, traces } = this.#options;
    this.#running += 1;
    const letGo = held.share();
    const request = { id, method, params };
    void (
      traces === undefined
        ? this.#answerModern(request, reply, held)
        : traces.serve({ server: route.config.name, message, headers: {} }, () =>
            this.#answerModern(request, reply, held),
          )
    )
      .catch((error: unknown) => reply.error(toAnswer(error, route.log, message)))
      .finally(() => {
        letGo();
        this.#running -= 1;
        this.#checkIdle();
      });
  }

  async #answerModern(
    request: Pick<Asked, "id" | "method" | "params">,
    reply: LineReply,
    held: SharedBytes,
  ): Promise<void> {
    const { route } = this.#who;
    const server = await modernServer(this.#who);
    const what = classifyModern(request, {
      modern: server,
      policy: route.policy,
      isOwnTool: (name) => ownTool(route, name) !== undefined,
    });
    await this.#options.modern({ ...this.#who, headers: undefined, ...request, reply, held, server }, what);
  }

  readonly #checkIdle = (): void => {
    if (!this.#isIdle) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  };

  /** Handles a message of a client of an older revision. */
  #relay(message: JsonRpcMessage, held: SharedBytes): void {
    if ("method" in message && message.method === "initialize") this.#legacy ??= this.#openLegacy();
    if (this.#legacy !== undefined) return this.#legacy.receive(message, held);
    if (!("method" in message) || !("id" in message)) return;
    // A client may ping before it initializes (2025-11-25, Lifecycle §Initialization).
    if (message.method === "ping") return this.#output.write(resultMessage(message.id, toJson({})));
    throw rpc.invalidMeta("params._meta is required, or initialize before anything else");
  }

  #openLegacy(): LegacyEnd {
    return new LegacyEnd({
      who: this.#who,
      newPair: (options) => this.#options.legacy.newPair(options),
      output: this.#output,
      onAnswered: this.#checkIdle,
      onOver: this.#onServerLeft,
    });
  }

  #refuse(id: RequestId | null, error: unknown, message?: unknown): void {
    this.#output.write(errorMessage(id, toAnswer(error, this.#options.route.log, message)));
  }

  /** Whoever has closed the input cannot end a subscription any more. */
  #endSubscriptions(): void {
    for (const reply of [...this.#open.values()])
      if (reply.isSubscription) reply.cancel(new Error("the client has closed the input"));
  }

  /** The client has gone and waits for no answer. */
  #hangUp(): void {
    this.#options.input.off("data", this.#read);
    for (const reply of [...this.#open.values()]) reply.cancel(new Error("the client has gone"));
    this.#legacy?.retire();
    this.#checkIdle();
  }
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

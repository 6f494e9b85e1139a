import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { answerHeaders, requestHeaders } from "../protocol/forwarded-headers.ts";
import { isEventStream } from "../protocol/headers.ts";
import { toFailure, UpstreamFailure } from "../upstream/failure.ts";
import { partitionOf } from "../upstream/transports/partition.ts";
import { MAX_REDIRECTS, redirectTarget } from "../upstream/transports/redirect.ts";
import { isBodiless } from "./connections.ts";
import type { Filter, Forwarding } from "./reverse-proxy.ts";

/** Opens a request to a server and lets `prepare` finish it, before anything of it is sent. May throw. */
export type OpenRequest = (opening: {
  readonly method: string;
  readonly target: URL;
  /** The request may reuse only connections of this partition. */
  readonly partition: string;
  readonly response: ServerResponse;
  /** The first attempt may use a connection that was used before; the second must not. */
  readonly isFirst: boolean;
  readonly prepare: (request: ClientRequest) => void;
}) => void;

export interface ForwardedExchangeOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly forwarding: Forwarding;
  readonly open: OpenRequest;
}

/** One request of a client and the server's answer to it. When either of the two leaves, the other learns of it. */
export class ForwardedExchange {
  readonly #client: ServerResponse;
  /** Needed until the head of the answer arrives, and released then, since a stream may be held for hours. */
  #asking: ForwardedExchangeOptions | undefined;
  #request: ClientRequest | undefined;
  #answer: IncomingMessage | undefined;
  #filter: Filter | undefined;
  #hasWritten = false;
  #target: URL;
  #redirects = 0;
  #headTimer: NodeJS.Timeout | undefined;
  #settle: { resolve(): void; reject(error: unknown): void } | undefined;

  constructor(options: ForwardedExchangeOptions) {
    this.#client = options.response;
    this.#asking = options;
    this.#target = options.forwarding.target;
  }

  /** To be called once. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      if (this.#client.destroyed || this.#client.closed) return this.#over();
      this.#client.once("close", this.#onClientClose);
      const timeoutMs = this.#asking?.forwarding.headTimeoutMs;
      if (timeoutMs !== undefined) this.#headTimer = setTimeout(() => this.#headIsLate(timeoutMs), timeoutMs);
      this.#send({ isFirst: true });
    });
  }

  #send({ isFirst }: { readonly isFirst: boolean }): void {
    const asking = this.#asking;
    if (asking === undefined) return;
    try {
      asking.open({
        method: asking.request.method ?? "GET",
        target: this.#target,
        partition: partitionOf(asking.request.rawHeaders),
        response: this.#client,
        isFirst,
        // Lives as long as the stream, so it must not hold the body.
        prepare: (opened) => this.#prepare(opened),
      });
    } catch (error) {
      this.#fail(error instanceof UpstreamFailure ? error : toRefusal(error));
    }
  }

  #prepare(opened: ClientRequest): void {
    if (this.#asking === undefined) return void opened.destroy();
    const { request, forwarding } = this.#asking;
    const { headers, withheld, isPlain, body } = forwarding;
    this.#request = opened;
    this.#listenTo(opened);
    opened.path = this.#target.pathname + this.#target.search;
    const replacements = isPlain ? { "accept-encoding": "identity", ...headers } : headers;
    for (const [name, values] of requestHeaders(request.rawHeaders, replacements, withheld)) {
      opened.setHeader(name, values.length === 1 ? (values[0] ?? "") : values);
    }
    // Node frames the body of a GET or DELETE only if its length is set.
    if (body !== undefined) opened.setHeader("Content-Length", body.length);
    opened.end(body);
  }

  #listenTo(request: ClientRequest): void {
    let bytesBefore = 0;
    request.once("socket", (socket) => {
      bytesBefore = socket.bytesRead;
    });
    request.on("error", (error) => this.#onRequestError(request, error, bytesBefore));
    request.once("close", () => this.#onRequestClose(request));
    request.once("response", this.#onAnswer);
  }

  #onRequestError(request: ClientRequest, error: NodeJS.ErrnoException, bytesBefore: number): void {
    if (!this.#isAwaiting(request)) return;
    const isDead = error.code === "ECONNRESET" || error.code === "EPIPE";
    const isUnheard = request.reusedSocket && request.socket?.bytesRead === bytesBefore;
    if (isDead && isUnheard && this.#asking?.forwarding.mayRepeat) this.#send({ isFirst: false });
    else this.#fail(toFailure(error));
  }

  /** A close without an error: the answer switched protocols, which no request asks for. */
  #onRequestClose(request: ClientRequest): void {
    if (!this.#isAwaiting(request)) return;
    this.#fail(
      new UpstreamFailure("The server gave the connection up without an answer", { mayHaveRun: true }),
    );
  }

  /** Whether the exchange still waits for this request's answer: no longer once its head is here, or the request was given up. */
  #isAwaiting(request: ClientRequest): boolean {
    return this.#asking !== undefined && this.#request === request;
  }

  #headIsLate(timeoutMs: number): void {
    const socket = this.#request?.socket;
    const mayHaveRun = socket !== undefined && socket !== null && !socket.connecting;
    this.#fail(
      new UpstreamFailure(`The server did not begin to answer within ${timeoutMs} ms`, { mayHaveRun }),
    );
  }

  readonly #onAnswer = (answer: IncomingMessage): void => {
    const forwarding = this.#asking?.forwarding;
    if (forwarding === undefined) return;
    const status = answer.statusCode ?? 0;
    if (this.#request !== undefined && isBodiless(this.#request.method, answer))
      this.#request.shouldKeepAlive = false;
    if (status < 200 || status > 599) {
      return this.#fail(
        new UpstreamFailure(`The server answered with the status ${status}`, { mayHaveRun: true }),
      );
    }
    const elsewhere = forwarding.followsRedirects
      ? redirectTarget(status, answer.headers.location, this.#target)
      : undefined;
    if (elsewhere !== undefined) return this.#follow(elsewhere);
    try {
      this.#filter = forwarding.onHead?.({ status, headers: answer.headers });
    } catch (error) {
      return this.#fail(error);
    }
    try {
      if (!this.#client.headersSent) this.#writeHead(status, answer, forwarding.relocate);
    } catch (error) {
      return this.#fail(toFailure(error));
    }
    clearTimeout(this.#headTimer);
    this.#asking = undefined;
    this.#answer = answer;
    this.#client.on("drain", this.#onDrain);
    answer.on("data", this.#onData).once("end", this.#onEnd).once("close", this.#onAnswerClose);
    // The first event may be hours away, and a client waits for the head before it continues. By the next tick node:http has read what came
    // with the server's head, which then goes with ours.
    if (isEventStream(answer.headers["content-type"])) process.nextTick(this.#flushHead);
  };

  /** Sends the request again, to where the server, which did not take it, wants it. */
  #follow(target: URL): void {
    this.#redirects += 1;
    if (target.origin !== this.#target.origin || this.#redirects > MAX_REDIRECTS) {
      const what =
        target.origin === this.#target.origin
          ? `redirects more than ${MAX_REDIRECTS} times`
          : "redirects to another origin; if that is where it is now, the operator has to change upstream.url";
      return this.#fail(new UpstreamFailure(`The server ${what}`, { mayHaveRun: false }));
    }
    const refused = this.#request;
    this.#request = undefined;
    this.#target = target;
    // The rest of its answer is of no use, and not worth the wait.
    refused?.destroy();
    this.#send({ isFirst: true });
  }

  #writeHead(status: number, answer: IncomingMessage, relocate: Forwarding["relocate"]): void {
    const client = this.#client;
    const headers = answerHeaders(answer.rawHeaders, {
      isRewritten: this.#filter !== undefined,
      relocate: (location) => relocate?.(location, this.#target) ?? location,
    });
    if (client.getHeaderNames().length === 0) {
      client.writeHead(status, headers);
    } else {
      // The guard of origins has set some headers already. Its `Vary` stays, whatever else the server's answer varies with. Node 20 would
      // lose the duplicates of a list that it merges with headers already set.
      for (let at = 0; at < headers.length; at += 2) {
        if (headers[at]?.toLowerCase() !== "vary") client.removeHeader(headers[at] ?? "");
      }
      for (let at = 0; at < headers.length; at += 2)
        client.appendHeader(headers[at] ?? "", headers[at + 1] ?? "");
      client.writeHead(status);
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#write(() => this.#filter?.take(chunk) ?? chunk)) this.#answer?.pause();
  };

  readonly #onDrain = (): void => void this.#answer?.resume();

  readonly #onEnd = (): void => {
    const filter = this.#filter;
    if (filter) this.#write(() => filter.finish());
    this.#client.end();
  };

  readonly #flushHead = (): void => {
    if (!this.#hasWritten && !this.#client.destroyed && !this.#client.writableEnded)
      this.#client.flushHeaders();
  };

  /** Returns whether the client can take more. */
  #write(bytesToSend: () => Buffer): boolean {
    if (this.#client.destroyed || this.#client.writableEnded) return true;
    try {
      const bytes = bytesToSend();
      if (bytes.length === 0) return true;
      this.#hasWritten = true;
      return this.#client.write(bytes);
    } catch (error) {
      this.#client.destroy();
      this.#fail(error);
      return true;
    }
  }

  readonly #onAnswerClose = (): void => {
    if (this.#answer?.readableEnded || this.#client.destroyed) return;
    const end = this.#filter?.cutOff?.();
    if (end !== undefined) return void this.#client.end(end);
    // The client gets the body so far, but never its end, and so can tell that it is incomplete.
    if (this.#client.socket) this.#client.socket.destroySoon();
    else this.#client.destroy();
  };

  readonly #onClientClose = (): void => {
    if (!this.#answer?.readableEnded) this.#request?.destroy();
    this.#over();
  };

  #fail(error: unknown): void {
    this.#over(error);
    const request = this.#request;
    this.#request = undefined;
    request?.destroy();
  }

  #over(...failure: [error?: unknown]): void {
    clearTimeout(this.#headTimer);
    this.#asking = undefined;
    // The caller may answer now, and the response is the caller's again.
    this.#client.off("close", this.#onClientClose).off("drain", this.#onDrain);
    const settle = this.#settle;
    this.#settle = undefined;
    if (failure.length === 0) settle?.resolve();
    else settle?.reject(failure[0]);
  }
}

function toRefusal(caught: unknown): UpstreamFailure {
  const reason = caught instanceof Error ? caught.message : String(caught);
  return new UpstreamFailure(`The request cannot be forwarded: ${reason}`, {
    mayHaveRun: false,
    cause: caught,
  });
}

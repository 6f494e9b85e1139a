import type { ServerResponse } from "node:http";
import { BEGUN_JSON_HEADERS, KEEP_ALIVE_JSON } from "../../protocol/headers.ts";
import type { JsonText } from "../../protocol/jsonrpc.ts";
import { beatsBy } from "../../requests/keep-alive.ts";
import type { OpenStream, OpenStreams } from "../../requests/open-streams.ts";

export interface JsonAnswersOptions {
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether to send the answers as a batch (2025-03-26). */
  readonly isBatch: boolean;
  readonly streams: OpenStreams;
}

/**
 * The answer to requests of a client that reads no streams: JSON, once the last has been answered, and white space before it while that takes
 * long.
 */
export class JsonAnswers implements OpenStream {
  readonly #options: JsonAnswersOptions;
  readonly #answers: JsonText[] = [];
  #isBegun = false;
  /** Takes nothing but answers. */
  readonly isOpen = false;
  lastWritten = performance.now();

  constructor(options: JsonAnswersOptions) {
    this.#options = options;
  }

  /** Settles when the connection is over. */
  open(response: ServerResponse): Promise<void> {
    if (response.destroyed) return Promise.resolve();
    const { streams } = this.#options;
    const leave = streams.keepsJsonAlive ? streams.add(this) : () => {};
    if (streams.keepsJsonAlive) beatsBy(response, this);
    return new Promise((resolve) =>
      response.once("close", () => {
        leave();
        resolve();
      }),
    );
  }

  write(message: JsonText): void {
    this.#answers.push(message);
  }

  beat(): void {
    const { response, headers } = this.#options;
    if (response.destroyed || response.writableEnded || response.writableLength > 0) return;
    if (!this.#isBegun) {
      if (response.headersSent) return;
      this.#isBegun = true;
      response.writeHead(200, { ...headers, ...BEGUN_JSON_HEADERS });
    }
    this.lastWritten = performance.now();
    response.write(KEEP_ALIVE_JSON);
  }

  complete(): void {
    const { response, headers, isBatch } = this.#options;
    const [only] = this.#answers;
    const json = isBatch ? `[${this.#answers.join(",")}]` : only;
    if (this.#isBegun) response.end(only === undefined ? undefined : json);
    else if (response.headersSent) return;
    // The client has cancelled all its requests.
    else if (only === undefined) response.writeHead(202, headers).end();
    else response.writeHead(200, { ...headers, "Content-Type": "application/json" }).end(json);
  }
}

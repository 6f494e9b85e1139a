import type { ServerResponse } from "node:http";
import type { JsonText } from "../../protocol/jsonrpc.ts";

export interface JsonAnswersOptions {
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether to send the answers as a batch (2025-03-26). */
  readonly isBatch: boolean;
}

/** The answer to requests of a client that reads no streams: JSON, once the last has been answered. */
export class JsonAnswers {
  readonly #options: JsonAnswersOptions;
  readonly #answers: JsonText[] = [];
  /** Takes nothing but answers. */
  readonly isOpen = false;

  constructor(options: JsonAnswersOptions) {
    this.#options = options;
  }

  /** Settles when the connection is over. */
  open(response: ServerResponse): Promise<void> {
    if (response.destroyed) return Promise.resolve();
    return new Promise((resolve) => response.once("close", resolve));
  }

  write(message: JsonText): void {
    this.#answers.push(message);
  }

  complete(): void {
    const { response, headers, isBatch } = this.#options;
    if (response.headersSent) return;
    const [only] = this.#answers;
    // The client has cancelled all its requests.
    if (only === undefined) response.writeHead(202, headers).end();
    else
      response
        .writeHead(200, { ...headers, "Content-Type": "application/json" })
        .end(isBatch ? `[${this.#answers.join(",")}]` : only);
  }
}

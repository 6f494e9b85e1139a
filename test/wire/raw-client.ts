/** A client that sends what it is told, and keeps what it gets, down to the case of a header's name. */

import { type Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { onTestFinished } from "vitest";
import { Conditions } from "../support/conditions.ts";

export type Header = readonly [name: string, value: string];

export interface Asking {
  readonly method?: string;
  /** What is asked for instead of the url's path and query. */
  readonly path?: string;
  /** As they are sent, duplicates and order included; the host, the length of the body and what is usual for connections are added. */
  readonly headers?: readonly Header[];
  readonly body?: string | Buffer;
  /** A body without a length; the headers have to say so. */
  readonly chunks?: readonly string[];
  /** Whose connections are used; one of its own unless given. */
  readonly agent?: Agent;
}

/** An answer as far as it has come. */
export interface Heard {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly Header[];
  /** What is between the head and the trailers, without the framing of chunks. */
  readonly body: Buffer;
  readonly text: string;
  readonly trailers: readonly Header[];
  /** The statuses of what came before the answer, such as 103. */
  readonly before: readonly number[];
  /** Whether the end of it has come, and has not just been cut off. */
  readonly isWhole: boolean;
}

export interface OpenAnswer extends Heard {
  /** Settles once the head is there. Rejects when the connection breaks first. */
  head(): Promise<OpenAnswer>;
  /** Settles once the body has come so far. */
  until(isEnough: (text: string) => boolean, what: string): Promise<OpenAnswer>;
  /** Settles once nothing more comes, whole or cut off. */
  over(): Promise<OpenAnswer>;
  /** Vanishes. */
  leave(): void;
}

/** One request on a connection of its own. It is gone when the test ends. */
export function open(
  url: URL,
  { method = "POST", path, headers = [], body, chunks: sent = [], agent }: Asking = {},
): OpenAnswer {
  const chunks: Buffer[] = [];
  let answer: IncomingMessage | undefined;
  let failure: Error | undefined;
  let isOver = false;
  const before: number[] = [];
  const conditions = new Conditions(
    () => `got ${answer?.statusCode} ${JSON.stringify(Buffer.concat(chunks).toString().slice(-500))}`,
  );
  const length: Header[] = body === undefined ? [] : [["Content-Length", String(Buffer.byteLength(body))]];
  const request = httpRequest(url, {
    method,
    path: path ?? `${url.pathname}${url.search}`,
    headers: [
      ["Host", url.host] as const,
      ...headers,
      ...length,
      ["Connection", "keep-alive"] as const,
    ].flat(),
    agent: agent ?? false,
  });
  const end = (error?: Error) => {
    failure ??= error;
    isOver = true;
    conditions.check();
  };
  request.on("error", end);
  request.on("information", ({ statusCode }) => before.push(statusCode));
  request.once("response", (response) => {
    answer = response;
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      conditions.check();
    });
    response.on("error", end).once("close", () => end());
    conditions.check();
  });
  for (const chunk of sent) request.write(chunk);
  request.end(body);
  onTestFinished(() => void request.destroy());

  const heard: OpenAnswer = {
    get status() {
      return answer?.statusCode ?? 0;
    },
    get reason() {
      return answer?.statusMessage ?? "";
    },
    get headers() {
      return pairs(answer?.rawHeaders ?? []);
    },
    get body() {
      return Buffer.concat(chunks);
    },
    get text() {
      return Buffer.concat(chunks).toString("utf8");
    },
    get trailers() {
      return pairs(answer?.rawTrailers ?? []);
    },
    before,
    get isWhole() {
      return answer?.complete ?? false;
    },
    head: async () => {
      await conditions.found(() => answer ?? failure, "the head of the answer");
      if (answer === undefined) throw failure;
      return heard;
    },
    until: async (isEnough, what) => {
      await conditions.found(() => isEnough(heard.text) || undefined, what);
      return heard;
    },
    over: async () => {
      await conditions.found(() => isOver || undefined, "the end of the answer");
      if (answer === undefined) throw failure;
      return heard;
    },
    leave: () => void request.destroy(),
  };
  return heard;
}

/** One request, and all of the answer. */
export function ask(url: URL, asking: Asking = {}): Promise<OpenAnswer> {
  return open(url, asking).over();
}

/** The value of a header; `undefined` unless there is exactly one. */
export function header({ headers }: Heard, name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name);
  return values.length === 1 ? values[0]?.[1] : undefined;
}

function pairs(raw: readonly string[]): Header[] {
  const found: Header[] = [];
  for (let at = 0; at < raw.length; at += 2) found.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return found;
}

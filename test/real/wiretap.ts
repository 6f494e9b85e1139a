/** Stands between a client that cannot be looked into and the gateway, passes everything on, and keeps what was said. */

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createParser } from "eventsource-parser";
import { onTestFinished } from "vitest";
import type { Json } from "../support/modern-client.ts";

export interface Overheard {
  readonly headers: IncomingHttpHeaders;
  /** The message that the client posted. */
  readonly sent: Json;
  /** Whether the answer came as a stream of events. */
  readonly isStream: boolean;
  /** The messages of the answer as far as they have come; the last is the answer itself. */
  readonly got: readonly Json[];
  /** The `result` of the answer; undefined when it has none, or none yet. */
  readonly result: Json;
}

export interface Wiretap {
  /** Where the client is to be pointed at. */
  readonly url: URL;
  /** Everything that was said, in the order of the answers. */
  readonly all: readonly Overheard[];
  /** What was said about requests of this method. */
  of(method: string): readonly Overheard[];
  /** The nth of those, counted from 0; fails when there is none. */
  at(method: string, n?: number): Overheard;
}

/** Listens on the loopback interface until the test ends. */
export async function wiretap(gateway: URL): Promise<Wiretap> {
  const all: Overheard[] = [];
  const http = createServer((request, response) => {
    relay(gateway, request, response, all).catch(() => response.destroy());
  });
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));
  onTestFinished(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });

  const of = (method: string) => all.filter(({ sent }) => sent.method === method);
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}${gateway.pathname}`),
    all,
    of,
    at: (method, n = 0) => {
      const overheard = of(method)[n];
      if (overheard !== undefined) return overheard;
      throw new Error(
        `no ${method} number ${n} was heard, only ${all.map(({ sent }) => sent.method).join(", ")}`,
      );
    },
  };
}

async function relay(
  gateway: URL,
  request: IncomingMessage,
  response: ServerResponse,
  all: Overheard[],
): Promise<void> {
  const body = (await request.toArray()).join("");
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const answer = await fetch(gateway, {
    method: request.method ?? "POST",
    headers: passedOn(Object.entries(request.headers)),
    signal: gone.signal,
    ...(body === "" ? {} : { body }),
  });
  const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  const decoder = new TextDecoder();
  let text = "";
  all.push({
    headers: request.headers,
    sent: body === "" ? {} : JSON.parse(body),
    isStream,
    get got() {
      return messagesIn(text, isStream);
    },
    get result() {
      return this.got.at(-1)?.result;
    },
  });
  response.writeHead(answer.status, passedOn([...answer.headers]).flat());
  response.flushHeaders();
  const chunks = async function* () {
    for await (const chunk of answer.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      yield chunk;
    }
  };
  await pipeline(Readable.from(chunks()), response);
}

/** What belongs to one connection and not to the message. */
const OF_CONNECTION = new Set(["host", "connection", "content-length", "transfer-encoding", "keep-alive"]);

function passedOn(headers: readonly [string, unknown][]): [string, string][] {
  return headers.flatMap(([name, value]) =>
    OF_CONNECTION.has(name) ? [] : [[name, String(value)] as [string, string]],
  );
}

function messagesIn(text: string, isStream: boolean): readonly Json[] {
  if (!isStream) return text === "" ? [] : [JSON.parse(text)];
  const messages: Json[] = [];
  createParser({
    onEvent: ({ data }) => {
      if (data !== "") messages.push(JSON.parse(data));
    },
  }).feed(text);
  return messages;
}

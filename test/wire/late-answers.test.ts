/** A server that says nothing for longer than a connection may be quiet: every way in which it then answers a plain call. */

import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readEvent } from "../../src/protocol/event-stream.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { gate } from "../support/story.ts";
import { ANSWER, DONE, EVENTS, failed, ODD_ANSWER } from "./answers.ts";
import { header } from "./raw-client.ts";
import { comments, lastEvent, silence } from "./silence.ts";

interface Late {
  /** What the server does after a long silence. */
  readonly answer: (call: Exchange) => void;
  /** The last event that the client gets: as text, or as what it says. */
  readonly text?: string;
  readonly message?: JsonObject;
}

const compressed = (encoding: string, compress: (text: string) => Buffer, type: string, text: string) => ({
  answer: ({ response }: Exchange) => {
    response.writeHead(200, { "Content-Type": type, "Content-Encoding": encoding });
    response.end(compress(text));
  },
});

const LATE: Readonly<Record<string, Late>> = {
  "a result in JSON": {
    answer: (call) => call.reply(200, ODD_ANSWER, { "content-type": "application/json" }),
    // A line break in an event begins another line of data, and is read as LF.
    text: ODD_ANSWER.replace("\r\n", "\n"),
  },
  "a result in an event": { answer: (call) => call.sse().raw(EVENTS).end(), text: ANSWER },
  "an error": {
    answer: (call) => call.error(-32050, "no", { data: { why: 1 } }),
    message: { jsonrpc: "2.0", id: 1, error: { code: -32050, message: "no", data: { why: 1 } } },
  },
  "an error with a status": {
    answer: (call) => call.error(-32001, "no", { status: 404 }),
    message: failed(-32001, "no"),
  },
  "an error for nobody, with a status": {
    answer: (call) =>
      call.reply(404, {
        jsonrpc: "2.0",
        id: null,
        error: { code: -32001, message: "Session not found" },
      }),
    message: failed(-32001, "Session not found"),
  },
  "a status without a body": {
    answer: (call) => void call.response.writeHead(401, { "WWW-Authenticate": "Bearer" }).end(),
    message: failed(-32603, "The server answered HTTP 401"),
  },
  "a page": {
    answer: (call) => call.reply(503, "<h1>Sorry</h1>"),
    message: failed(-32603, "The server answered HTTP 503"),
  },
  "a stream with another status": {
    answer: (call) => {
      call.response.writeHead(500, { "Content-Type": "text/event-stream" }).end(EVENTS);
    },
    message: failed(-32603, "The server answered HTTP 500"),
  },
  "what is right for a notification": {
    answer: (call) => call.accept(),
    message: failed(-32603, "The server answered HTTP 202"),
  },
  "a redirection": {
    answer: (call) => void call.response.writeHead(302, { Location: "/elsewhere" }).end(),
    message: failed(-32603, "The server answered HTTP 302"),
  },
  "a redirection to the same that never ends": {
    answer: (call) => void call.response.writeHead(307, { Location: "/elsewhere" }).end(),
    message: failed(-32603, "The server redirects more than 5 times"),
  },
  "the answer to another request": {
    answer: (call) => call.reply(200, { jsonrpc: "2.0", id: "1", result: DONE }),
    message: failed(-32603, "The server answered HTTP 200"),
  },
  "what is no JSON": {
    answer: (call) => call.reply(200, '{"jsonrpc":', { "content-type": "application/json" }),
    message: failed(-32603, "The server answered HTTP 200"),
  },
  nothing: {
    answer: (call) => call.cut(),
    message: failed(-32603, expect.stringMatching(/^The connection to the server broke: /)),
  },
  "more than a result may have": {
    answer: (call) => call.text("x".repeat(2_000)),
    message: failed(-32603, expect.stringMatching(/^The result has 20\d\d bytes, more than the 1000 /)),
  },
  "gzipped JSON, though nobody asked for it": {
    ...compressed("gzip", gzipSync, "application/json", ANSWER),
    message: failed(-32603, "The server compressed (gzip) what was to be plain"),
  },
  "gzipped events": {
    ...compressed("gzip", gzipSync, "text/event-stream", EVENTS),
    message: failed(-32603, "The server compressed (gzip) what was to be plain"),
  },
  "an encoding that nobody knows": {
    ...compressed("Rot13", Buffer.from, "application/json", ANSWER),
    message: failed(-32603, "The server compressed (rot13) what was to be plain"),
  },
};

describe("a server that says nothing at all, and then answers with", () => {
  test.for(Object.entries(LATE))("%s", async ([, { answer: end, text, message }]) => {
    const answering = gate();
    const tested = await silence(
      {
        "tools/call": async (call) => {
          await answering.opened;
          end(call);
        },
      },
      { policy: { maxResultBytes: 1_000 } },
    );
    const answer = await comments(tested.call("silent"));
    answering.open();
    await answer.over();
    await tested.idle();

    expect(answer.status).toBe(200);
    expect(header(answer, "content-type")).toBe("text/event-stream");
    expect(answer.isWhole).toBe(true);
    const { event, data = "" } = readEvent(Buffer.from(lastEvent(answer)));
    expect(event).toBe("message");
    expect(text ?? JSON.parse(data)).toEqual(text === undefined ? message : data);
  });
});

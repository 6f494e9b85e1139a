/** What the gateway puts into a stream of the server's, over a real connection: where, when, and when not. */

import type { ServerResponse } from "node:http";
import { createParser } from "eventsource-parser";
import { expect, onTestFinished, test } from "vitest";
import type { JsonText } from "../../src/protocol/jsonrpc.ts";
import { EventFilter } from "../../src/proxy/filters/event-filter.ts";
import { OpenStreams } from "../../src/requests/open-streams.ts";
import { gate } from "../support/story.ts";
import { type OpenAnswer, open } from "./raw-client.ts";
import { served } from "./served.ts";
import { comments, silence, withoutComments } from "./silence.ts";

const OURS = '{"ours":1}' as JsonText;
const OUR_EVENT = `event: message\ndata: ${OURS}\n\n`;

interface Tapped {
  readonly client: OpenAnswer;
  readonly tap: EventFilter;
  readonly response: ServerResponse;
  readonly streams: OpenStreams;
  /** The server says something. */
  say(text: string | Buffer): void;
  /** The end of it, and all that the client got. */
  end(): Promise<string>;
}

/** A stream with a tap in it, from where it is made to where a client reads it. */
async function tapped({
  method = "GET",
  beforeHead = () => {},
}: {
  method?: string;
  beforeHead?: (tap: EventFilter) => void;
} = {}): Promise<Tapped> {
  const streams = new OpenStreams(60_000);
  const made = gate<{ tap: EventFilter; response: ServerResponse }>();
  const url = await served((_, response) => {
    const tap = new EventFilter(response, streams);
    beforeHead(tap);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    made.open({ tap, response });
  });
  const client = open(url, { method });
  const { tap, response } = await made.opened;
  onTestFinished(() => tap.close());
  await client.head();
  return {
    client,
    tap,
    response,
    streams,
    say: (text) => void response.write(tap.take(Buffer.from(text))),
    end: async () => {
      const rest = tap.finish();
      response.end(rest);
      return (await client.over()).text;
    },
  };
}

test("between two events a message is written at once, within one when that has ended", async () => {
  const { tap, say, client, end } = await tapped();
  expect(tap.send(OURS)).toBe(true);
  await client.until((text) => text === OUR_EVENT, "our event");
  say("data: 1\n\n");
  expect(tap.send(OURS)).toBe(true);
  say("data: ");
  expect(tap.send(OURS)).toBe(true);
  expect(tap.send(OURS)).toBe(true);
  say("2\n");
  say("\ndata: 3\n\n");
  expect(await end()).toBe(
    `${OUR_EVENT}data: 1\n\n${OUR_EVENT}data: 2\n\ndata: 3\n\n${OUR_EVENT}${OUR_EVENT}`,
  );
});

test("a message from before the head follows it, though the server says nothing", async () => {
  const { client } = await tapped({ beforeHead: (tap) => expect(tap.send(OURS)).toBe(true) });
  await client.until((text) => text === OUR_EVENT, "our event");
});

test("a client that is too far behind is sent nothing, and what waits for the end of an event is limited", async () => {
  const { tap, say, response } = await tapped();
  say("data: ");
  const sent = Array.from({ length: 102 }, () => tap.send(OURS));
  expect(sent.filter((isSent) => isSent)).toHaveLength(100);
  say("\n\n");
  expect(tap.send(OURS)).toBe(true);
  // More than sockets buffer, in one tick: nobody can have read it.
  say(Buffer.alloc(16_777_216, ":\n\n"));
  expect(response.writableLength).toBeGreaterThan(1_048_576);
  expect(tap.send(OURS)).toBe(false);
  const before = response.writableLength;
  tap.beat();
  expect(response.writableLength).toBe(before);
});

const STREAMS = [
  'event: message\nid: 1\ndata: {"a":1}\n\n: hm\n\ndata: é✓\ndata: 2\n\n',
  "event: a\r\ndata: 1\r\n\r\n\r\nid: 2\r\ndata: 2\r\n\r\n",
  "data: 1\r\rdata: 2\r\r",
];

test.for(STREAMS)("comments stand between events only, wherever the network cuts: %j", async (stream) => {
  const bytes = Buffer.from(stream);
  const expected = eventsIn(stream);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { tap, say, end, client } = await tapped();
    say(bytes.subarray(0, cut));
    await client.until((text) => Buffer.byteLength(text) >= cut, "the first part");
    tap.beat();
    say(bytes.subarray(cut));
    await client.until((text) => Buffer.byteLength(text) >= bytes.length, "the second part");
    tap.beat();
    const got = await end();
    expect(eventsIn(got), `cut at ${cut}`).toEqual(expected);
    expect(withoutComments(got).length, `cut at ${cut}`).toBeLessThanOrEqual(stream.length);
    expect(got.endsWith(":\n\n"), `cut at ${cut}`).toBe(true);
  }
});

test("a stream to listen on ends when the gateway stops: at once, or with the event that is just passing", async () => {
  const idle = await tapped();
  idle.tap.stop();
  expect((await idle.client.over()).isWhole).toBe(true);

  const { tap, say, client } = await tapped();
  say("data: 1");
  tap.stop();
  expect(tap.send(OURS)).toBe(false);
  say("\n\n");
  say("data: too late");
  tap.beat();
  await client.over();
  expect([client.text, client.isWhole]).toEqual(["data: 1\n\n", true]);
  expect(tap.isOpen).toBe(false);
});

test("the answer to a POST goes on when the gateway stops", async () => {
  const { tap, say, end } = await tapped({ method: "POST" });
  tap.stop();
  expect(tap.isOpen).toBe(true);
  say("data: 1\n\n");
  expect(await end()).toBe("data: 1\n\n");
});

test("nothing is written to a stream that is over, and nobody keeps it", async () => {
  const { tap, client, streams, response } = await tapped();
  expect(streams.size).toBe(1);
  client.leave();
  await new Promise((resolve) => response.once("close", resolve));
  expect([tap.isOpen, tap.send(OURS)]).toEqual([false, false]);
  tap.beat();
  tap.close();
  expect(streams.size).toBe(0);

  const other = await tapped();
  other.response.end();
  expect([other.tap.isOpen, other.tap.send(OURS)]).toEqual([false, false]);
  other.tap.beat();
  other.tap.stop();
  expect((await other.client.over()).text).toBe("");
});

test("the stream that a session listens on is kept alive, too, and its events come as they are", async () => {
  const speaking = gate();
  const events = 'id: 1\r\nretry: 5\r\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\r\n\r\n';
  const tested = await silence({
    GET: async (exchange) => {
      const stream = exchange.sse({ "X-Own": "here" });
      await speaking.opened;
      stream.raw(events);
      await speaking.opened;
      stream.end();
    },
  });
  const listening = await comments(tested.session.listen());
  speaking.open();
  await listening.over();
  await tested.idle();
  expect(withoutComments(listening.text)).toBe(events);
});

test("a server that dies takes its streams with it, and nothing is left of them", async () => {
  const tested = await silence({ "tools/call": (call) => void call.sse() });
  const answers = [tested.call("streaming"), tested.session.listen()];
  await Promise.all(answers.map((answer) => comments(answer)));
  for (const { response } of tested.server.received) response.destroy();
  await Promise.all(answers.map((answer) => answer.over()));
  await tested.idle();
  // A call is told that there will be no answer, and a stream to listen on is cut.
  expect(answers.map(({ isWhole }) => isWhole)).toEqual([true, false]);
  expect(answers[0]?.text).toContain('"error":{"code":-32603');
});

test("streams to listen on end in good order when the gateway stops, those that the server is slow to open as well", async () => {
  const opening = gate();
  const tested = await silence({
    GET: async (exchange) => {
      if (exchange.headers["x-slow"] !== undefined) await opening.opened;
      exchange.sse();
    },
  });
  const early = await comments(tested.session.listen());
  const late = tested.session.listen([["X-Slow", "1"]]);
  await tested.server.until(
    () => tested.server.received.some(({ headers }) => headers["x-slow"] !== undefined),
    "the slow one to arrive",
  );
  const closed = tested.gateway.close();
  await early.over();
  opening.open();
  await late.over();
  await closed;
  expect([early, late].map(({ status, isWhole }) => [status, isWhole])).toEqual([
    [200, true],
    [200, true],
  ]);
});

function eventsIn(stream: string): unknown[] {
  const events: unknown[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(`${stream}\n`);
  return events;
}

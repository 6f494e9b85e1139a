/** A plain call whose server says nothing for longer than a connection may be quiet, and what then becomes of the answer. */

import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readEvent } from "../../src/protocol/event-stream.ts";
import type { Script } from "../support/scripted-server.ts";
import { gate } from "../support/story.ts";
import { ANSWER, DONE, EVENTS, failed, ODD_ANSWER } from "./answers.ts";
import { call } from "./legacy-session.ts";
import { ask, header } from "./raw-client.ts";
import { comments, commentsIn, lastEvent, silence, withoutComments } from "./silence.ts";

/** Long enough for the head of an answer to come in time on a busy machine. */
const PATIENT = { limits: { keepAliveMs: 1_000 } };
/** For answers that are to come in time as a whole. */
const VERY_PATIENT = { limits: { keepAliveMs: 600_000 } };

test("a server that has begun to stream and is silent: comments until it speaks, and its bytes as they are", async () => {
  const speaking = gate();
  const script: Script = async (call) => {
    const stream = call.sse({ "X-Own": "here" });
    await speaking.opened;
    stream.raw(EVENTS).end();
  };
  const tested = await silence({ "tools/call": script }, PATIENT);

  const answer = await comments(tested.call("silent"));
  await expect.poll(() => tested.open).toBe(1);
  speaking.open();
  await answer.over();

  expect(header(answer, "x-own")).toBe("here");
  expect(withoutComments(answer.text)).toBe(EVENTS);
  expect(answer.isWhole).toBe(true);
  await tested.idle();
});

test("a server that pauses in the middle of an event: nothing is put in there, and something after it", async () => {
  const [resuming, ending] = [gate(), gate()];
  const tested = await silence({
    "tools/call": async (call) => {
      const stream = call.sse().raw(EVENTS.slice(0, 30));
      await resuming.opened;
      stream.raw(EVENTS.slice(30, -1));
      await ending.opened;
      stream.raw(EVENTS.slice(-1)).end();
    },
  });
  const answer = tested.call("pausing");
  await answer.until((text) => text.includes("id: 7"), "half of an event");
  // By then the timer has gone round several times for this stream as well.
  const other = tested.call("pausing");
  await other.until((text) => text.includes("id: 7"), "half of an event");
  const witness = tested.session.listen();
  await comments(witness);
  const half = answer.text.slice(answer.text.indexOf(": hello"));
  resuming.open();
  await answer.until((text) => text.endsWith("}\n"), "all but the last byte");
  await comments(witness, commentsIn(witness.text) + 3);
  const most = answer.text.slice(answer.text.indexOf(": hello"));
  ending.open();
  await answer.over();

  expect(half).toBe(EVENTS.slice(0, 30));
  expect(most).toBe(EVENTS.slice(0, -1));
  expect(withoutComments(answer.text)).toBe(EVENTS);
  witness.leave();
});

test("a server that breaks off in the middle of its answer: the client is told so", async () => {
  const [answering, breaking] = [gate(), gate()];
  const tested = await silence({
    "tools/call": async (call) => {
      await answering.opened;
      call.response.writeHead(200, { "Content-Type": "application/json" }).write('{"jsonrpc":');
      await breaking.opened;
      call.cut();
    },
  });
  const answer = await comments(tested.call("silent"));
  answering.open();
  await comments(answer, commentsIn(answer.text) + 2);
  breaking.open();
  await answer.over();

  expect(answer.isWhole).toBe(true);
  expect(withoutComments(answer.text)).toContain("The server broke off its answer");
  await tested.idle();
});

test.for([
  [1, 2],
  [2, 5],
  [3, 4],
  [0, 40],
] as const)(
  "a byte order mark behind a comment is none any more, cut at %i and %i",
  async ([first, second]) => {
    const marked = Buffer.from(`\ufeff${EVENTS.slice(EVENTS.indexOf("id"))}`);
    const [speaking, going, ending] = [gate(), gate(), gate()];
    const tested = await silence({
      "tools/call": async (call) => {
        await speaking.opened;
        const stream = call.sse().raw(marked.subarray(0, first));
        await going.opened;
        stream.raw(marked.subarray(first, second));
        await ending.opened;
        stream.raw(marked.subarray(second)).end();
      },
    });
    const answer = await comments(tested.call("silent"));
    speaking.open();
    await comments(tested.session.listen());
    going.open();
    await comments(tested.session.listen());
    ending.open();
    await answer.over();
    expect(withoutComments(answer.text)).toBe(marked.subarray(3).toString());
  },
);

test("a client that reads no streams waits for the plain answer", async () => {
  const answering = gate();
  const tested = await silence({
    "tools/call": async (call) => {
      await answering.opened;
      call.reply(418, ODD_ANSWER, { "content-type": "application/json" });
    },
  });
  const answer = tested.call("silent", [["Accept", "application/json"]]);
  const witness = await comments(tested.call("silent"));
  expect(answer.status).toBe(0);
  answering.open();
  await Promise.all([answer.over(), witness.over()]);

  expect([answer.status, answer.text]).toEqual([418, ODD_ANSWER]);
});

test("a client that reads no streams, and gets one, gets it without comments", async () => {
  const ending = gate();
  const tested = await silence({
    "tools/call": async (call) => {
      const stream = call.sse().raw(EVENTS.slice(0, 9));
      await ending.opened;
      stream.raw(EVENTS.slice(9)).end();
    },
  });
  const answer = tested.call("silent", [["Accept", "application/json"]]);
  await comments(tested.call("silent"));
  ending.open();
  expect((await answer.over()).text).toBe(EVENTS);
});

test("a compressed stream passes untouched", async () => {
  const bytes = gzipSync(EVENTS);
  const ending = gate();
  const script: Script = async ({ response }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Content-Encoding": "gzip" });
    response.write(bytes.subarray(0, 10));
    await ending.opened;
    response.end(bytes.subarray(10));
  };
  const tested = await silence({ "tools/call": script }, PATIENT);
  const answer = tested.call("compressed");
  await answer.until((text) => text.length > 0, "the first bytes");
  await comments(tested.session.listen());
  ending.open();
  await answer.over();

  expect(answer.body).toEqual(bytes);
});

test("what comes in time is not touched", async () => {
  const tested = await silence({ "tools/call": (call) => call.reply(201, ODD_ANSWER) }, VERY_PATIENT);
  const answer = await tested.call("quick").over();
  expect([answer.status, answer.text]).toEqual([201, ODD_ANSWER]);
  await tested.idle();
});

test("a batch is forwarded as it is, and its stream kept alive", async () => {
  const ending = gate();
  const tested = await silence({
    answer: async (batch) => {
      const stream = batch.sse();
      await ending.opened;
      stream.raw(EVENTS).end();
    },
  });
  const body = JSON.stringify([call(1, "one"), call(2, "two")]);
  const answer = await comments(tested.session.post(body));
  ending.open();
  expect(withoutComments((await answer.over()).text)).toBe(EVENTS);
});

test("a gateway that stops lets a call end, be its stream the server's or its own", async () => {
  const answering = gate();
  const tested = await silence(
    {
      "tools/call": async (call) => {
        const isStream = call.message.params?.name === "streaming";
        const stream = isStream ? call.sse() : undefined;
        await answering.opened;
        if (stream) stream.raw(EVENTS).end();
        else call.json(DONE);
      },
    },
    { limits: { drainTimeoutMs: 20_000 } },
  );
  const answers = ["streaming", "silent"].map((name) => tested.call(name));
  await Promise.all(answers.map((answer) => comments(answer)));
  const closed = tested.gateway.close();
  await Promise.all(answers.map((answer) => comments(answer, commentsIn(answer.text) + 2)));
  answering.open();
  await Promise.all(answers.map((answer) => answer.over()));
  await closed;

  expect(withoutComments(answers[0]?.text ?? "")).toBe(EVENTS);
  expect(withoutComments(answers[1]?.text ?? "")).toBe(`event: message\ndata: ${ANSWER}\n\n`);
});

test("a gateway that cannot wait any longer ends the stream with an error", async () => {
  const tested = await silence({ "tools/call": () => undefined }, { limits: { drainTimeoutMs: 0 } });
  const answer = await comments(tested.call("silent"));
  await tested.gateway.close();
  await answer.over();
  expect(JSON.parse(readEvent(Buffer.from(lastEvent(answer))).data ?? "")).toEqual(
    failed(-32603, expect.any(String)),
  );
  await tested.idle();
});

test("nothing is left of clients that vanish, whatever they waited for", async () => {
  const tested = await silence({
    "tools/call": (call) => {
      if (call.message.params?.name === "streaming") call.sse();
    },
  });
  const answers = [tested.call("streaming"), tested.call("silent"), tested.session.listen()];
  await Promise.all(answers.map((answer) => comments(answer)));
  expect(tested.open).toBe(3);
  for (const answer of answers) answer.leave();
  await tested.idle();
  const ours = tested.server.received.filter(({ headers }) =>
    tested.session.headers.some(([, value]) => value === headers["mcp-session-id"]),
  );
  expect(ours.map(({ method }) => method)).toEqual([
    "notifications/initialized",
    "tools/call",
    "tools/call",
    "GET",
  ]);
  await Promise.all(ours.map(({ closed }) => closed));
});

test("an error that comes in time has its status and its body", async () => {
  const tested = await silence(
    { "tools/call": (call) => call.error(-32001, "no", { status: 404 }) },
    VERY_PATIENT,
  );
  const answer = await ask(tested.url, {
    headers: [["Accept", "*/*"], ...tested.session.headers],
    body: JSON.stringify(call(1, "any")),
  });
  expect([answer.status, JSON.parse(answer.text)]).toEqual([404, failed(-32001, "no")]);
});

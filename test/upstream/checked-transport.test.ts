/** Which request an answer ends that names none of them, or names it in another way. */

import { Writable } from "node:stream";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import type { JsonRpcMessage, RequestId } from "../../src/protocol/jsonrpc.ts";
import { nextRequestId } from "../../src/upstream/request-ids.ts";
import { CheckedTransport } from "../../src/upstream/transports/checked-transport.ts";
import type { RawTransport, Stream } from "../../src/upstream/transports/transport.ts";
import { UnusableAnswer } from "../../src/upstream/transports/unusable-answer.ts";

const NAN = new UnusableAnswer(undefined, "it is not JSON: it contains NaN");

function checked(...ids: RequestId[]) {
  const raw: RawTransport = {
    onMessage: () => {},
    onUnusable: () => {},
    onGarbage: () => {},
    onLost: () => {},
    tell: async () => {},
    ask: () => ({ ended: new Promise(() => {}), stop: () => {} }),
    setProtocolVersion: () => {},
    initialized: async () => {},
    close: async () => {},
  };
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const wire = new CheckedTransport(raw, pino({ level: "warn" }, sink));
  const heard: JsonRpcMessage[] = [];
  wire.onMessage = (message) => void heard.push(message);
  const ended: [RequestId, string][] = [];
  const ask = (id: RequestId) => {
    const asking = wire.ask({ jsonrpc: "2.0", id, method: "tools/call" });
    asking.ended.catch((error: Error) => ended.push([id, error.message]));
    return asking;
  };
  const asked = ids.map(ask);
  const settled = async () => {
    await new Promise(setImmediate);
    return ended;
  };
  const answer = (id: RequestId, stream?: Stream) =>
    raw.onMessage({ jsonrpc: "2.0", id, result: {} }, stream);
  return { raw, asked, ask, heard, lines, settled, answer };
}

describe("with one request under way", () => {
  test.each(["7", "7.0", 7])("%j is the answer to 7", async (id) => {
    const { answer, heard, settled } = checked(7);
    answer(id);
    expect(heard).toEqual([{ jsonrpc: "2.0", id: 7, result: {} }]);
    expect(await settled()).toEqual([]);
  });

  test("what has another id, or none that can be read, ends it, and the log says so once", async () => {
    const { raw, answer, lines, settled } = checked(7);
    raw.onUnusable(NAN);
    answer(8);
    expect(await settled()).toEqual([
      [7, "The server's answer cannot be used: it is not JSON: it contains NaN"],
    ]);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: 40, method: "tools/call", why: NAN.why });
  });

  test("another id ends it", async () => {
    const { answer, settled } = checked(7);
    answer("eight");
    expect(await settled()).toEqual([
      [7, 'The server\'s answer cannot be used: its id is "eight", expected 7'],
    ]);
  });

  test("a late answer, a second one, and one to a request in another session do not", async () => {
    const { asked, ask, answer, heard, settled } = checked(6);
    answer(6);
    asked[0]?.stop();
    ask(7);
    answer(6);
    answer("6");
    answer(nextRequestId());
    expect(await settled()).toEqual([]);
    answer(7);
    expect(heard.map((message) => "id" in message && message.id)).toEqual([6, 7]);
  });

  test("what may be a line of a log ends it only by its id, or on the stream of the request", async () => {
    const { raw, settled } = checked(7);
    const line = new UnusableAnswer(undefined, "it has no id", true);
    raw.onUnusable(line);
    raw.onUnusable(new UnusableAnswer(8, "its jsonrpc is missing", true));
    raw.onUnusable(line, "aside");
    expect(await settled()).toEqual([]);
    raw.onUnusable(line, { answerTo: 7 });
    expect(await settled()).toHaveLength(1);
  });

  test("what is another's on a stream that was resumed does not, and what names none does", async () => {
    const { raw, answer, settled } = checked(7);
    answer(8, { answerTo: 7, isResumed: true });
    expect(await settled()).toEqual([]);
    raw.onUnusable(NAN, { answerTo: 7, isResumed: true });
    expect(await settled()).toHaveLength(1);
  });

  test("what comes aside from all requests ends it only by its id", async () => {
    const { raw, answer, settled } = checked(7);
    raw.onUnusable(NAN, "aside");
    answer(8, "aside");
    expect(await settled()).toEqual([]);
    raw.onUnusable(new UnusableAnswer("7", "its error is null"), "aside");
    expect(await settled()).toEqual([[7, "The server's answer cannot be used: its error is null"]]);
  });
});

describe("with two requests under way", () => {
  test("what names one ends that one", async () => {
    const { raw, settled } = checked(7, 8);
    raw.onUnusable(new UnusableAnswer("8", "its error is null"));
    expect(await settled()).toEqual([[8, "The server's answer cannot be used: its error is null"]]);
  });

  test("what names none ends none where they share a stream, and its own where each has one", async () => {
    const { raw, answer, settled } = checked(7, 8);
    raw.onUnusable(NAN);
    answer(9);
    expect(await settled()).toEqual([]);
    raw.onUnusable(NAN, { answerTo: 8 });
    answer(9, { answerTo: 7 });
    expect((await settled()).map(([id]) => id)).toEqual([8, 7]);
  });
});

import { describe, expect, test } from "vitest";
import type { RequestId } from "../../src/protocol/jsonrpc.ts";
import { type AmendingOptions, amendingFilter } from "../../src/proxy/filters/amending.ts";
import { cutBy, cuts, everyChunking } from "../protocol/chunkings.ts";
import * as fc from "../support/properties.ts";

const JSON_TYPE = "application/json";
const STREAM_TYPE = "text/event-stream";
const ANSWER = '{"id":1,"result":{"é":1.0}}';
const AMENDED = '{"id":1,"result":{"é":1.0},"amended":"ü"}';
const NOTE = '{"method":"notifications/message"}';

describe("in a JSON body", () => {
  test.for<[what: string, id: RequestId, body: string, passed: string]>([
    ["the answer", 1, ANSWER, AMENDED],
    ["an answer with the falsy id", 0, '{"id":0,"result":{}}', '{"id":0,"result":{},"amended":"ü"}'],
    ["an answer with the empty id", "", '{"id":"","result":{}}', '{"id":"","result":{},"amended":"ü"}'],
    [
      "an answer whose id is the number as a text",
      1,
      '{"id":"1","result":{}}',
      '{"id":"1","result":{},"amended":"ü"}',
    ],
    ["an answer with white space around it", 1, `\n${ANSWER}`, `\n${AMENDED}`],
  ])("%s is changed", ([, id, body, passed]) => {
    for (const chunks of everyChunking(Buffer.from(body))) {
      expect(String(through(chunks, { contentType: JSON_TYPE, id }))).toBe(passed);
    }
  });

  test.for<[what: string, id: RequestId, body: string | Buffer]>([
    ["an answer to another request", 2, ANSWER],
    ["an answer whose id is a text that spells another number", 1, '{"id":"1x","result":{}}'],
    ["an answer whose id is a number", "1", ANSWER],
    ["an answer without an id", 0, '{"result":{}}'],
    ["a request of the server's with the same id", 1, '{"id":1,"method":"ping"}'],
    ["a batch", 1, `[${ANSWER}]`],
    ["what is no JSON", 1, ANSWER.slice(1)],
    ["what is no UTF-8", 1, Buffer.from(ANSWER, "latin1")],
    ["a body in UTF-16", 1, Buffer.from(ANSWER, "utf16le")],
    ["nothing", 1, ""],
  ])("%s passes unchanged", ([, id, body]) => {
    const bytes = Buffer.from(body);
    for (const chunks of everyChunking(bytes)) {
      expect(through(chunks, { contentType: JSON_TYPE, id })).toEqual(bytes);
    }
  });

  test("nothing passes before the end", () => {
    const filter = amending({ contentType: JSON_TYPE });
    expect(String(filter.take(Buffer.from(ANSWER)))).toBe("");
    expect(String(filter.finish())).toBe(AMENDED);
  });

  test("a body as long as the limit is changed, a longer one passes as soon as it is longer", () => {
    const bytes = Buffer.from(ANSWER);
    const inTime = amending({ contentType: JSON_TYPE, maxBytes: bytes.length });
    expect(String(inTime.take(bytes))).toBe("");
    expect(String(inTime.finish())).toBe(AMENDED);

    const overrun = amending({ contentType: JSON_TYPE, maxBytes: bytes.length - 1 });
    expect(String(overrun.take(bytes.subarray(0, -1)))).toBe("");
    expect(overrun.take(bytes.subarray(-1))).toEqual(bytes);
    expect(String(overrun.take(Buffer.from("\n")))).toBe("\n");
    expect(String(overrun.finish())).toBe("");
  });
});

describe("in an event stream", () => {
  test.for<[what: string, before: string, after: string]>([
    ["the answer", `data: ${ANSWER}\n\n`, `data: ${AMENDED}\n\n`],
    [
      "an answer named a message",
      `event: message\ndata: ${ANSWER}\n\n`,
      `event: message\ndata: ${AMENDED}\n\n`,
    ],
    [
      "an answer whose id is the number as a text",
      'data: {"id":"1","result":{}}\n\n',
      'data: {"id":"1","result":{},"amended":"ü"}\n\n',
    ],
    ["an answer behind a mark", `\ufeffdata:${ANSWER}\n\n`, `\ufeffdata:${AMENDED}\n\n`],
    ["CRLF", `id: 1\r\ndata: ${ANSWER}\r\n\r\n:\r\n`, `id: 1\r\ndata: ${AMENDED}\r\n\r\n:\r\n`],
    ["CR", `retry: 1\rdata: ${ANSWER}\r\r`, `retry: 1\rdata: ${AMENDED}\r\r`],
    [
      "an answer on several lines",
      'data: {"id":1,\ndata:  "result":{}}\n\n',
      'data: {"id":1,\ndata:  "result":{},"amended":"ü"}\n\n',
    ],
    [
      "only the first answer",
      `data:${ANSWER}\n\ndata:${ANSWER}\n\n`,
      `data:${AMENDED}\n\ndata:${ANSWER}\n\n`,
    ],
    [
      "an answer among others",
      `id: 0\ndata:\n\ndata: ${NOTE}\n\ndata: {"id":1,"method":"ping"}\n\nid: 2\ndata: ${ANSWER}\n\ndata: x`,
      `id: 0\ndata:\n\ndata: ${NOTE}\n\ndata: {"id":1,"method":"ping"}\n\nid: 2\ndata: ${AMENDED}\n\ndata: x`,
    ],
  ])("%s: it is changed", ([, before, after]) => {
    const bytes = Buffer.from(before);
    expect(String(through([bytes], { contentType: STREAM_TYPE }))).toBe(after);
    for (const chunks of everyChunking(bytes)) {
      expect(String(through(chunks, { contentType: STREAM_TYPE }))).toBe(after);
    }
  });

  test.for<[what: string, stream: string | Buffer]>([
    ["another answer", 'data: {"id":2,"result":{}}\n\n'],
    ["an answer whose id is a text that spells another number", 'data: {"id":"11","result":{}}\n\n'],
    ["a request of the server's with the same id", 'data: {"id":1,"method":"ping"}\n\n'],
    ["an event with a name of its own", `event: endpoint\ndata: ${ANSWER}\n\n`],
    ["a batch", `data: [${ANSWER}]\n\n`],
    ["what is no JSON", `data: ${ANSWER}}\n\n`],
    ["what is no UTF-8", Buffer.from(`data: ${ANSWER}\n\n`, "latin1")],
    [
      "an id that is no UTF-8",
      Buffer.concat([Buffer.from([0x69, 0x64, 0x3a, 0xff, 0x0a]), Buffer.from(`data: ${ANSWER}\n\n`)]),
    ],
    ["an event that never ends", `data: ${ANSWER}\n`],
    ["comments", `:data: ${ANSWER}\n\n`],
    ["no event at all", ""],
  ])("%s: it passes unchanged", ([, stream]) => {
    const bytes = Buffer.from(stream);
    for (const chunks of everyChunking(bytes)) {
      expect(through(chunks, { contentType: STREAM_TYPE })).toEqual(bytes);
    }
  });

  test("each event passes when it is whole, and once the answer went by, so does every byte", () => {
    const filter = amending({ contentType: STREAM_TYPE });
    const take = (text: string) => String(filter.take(Buffer.from(text)));
    expect(take(":\n")).toBe("");
    expect(take(`\ndata: ${NOTE}\n`)).toBe(":\n\n");
    expect(take("\n")).toBe(`data: ${NOTE}\n\n`);
    expect(take(`data: ${ANSWER}\n\nda`)).toBe(`data: ${AMENDED}\n\nda`);
    expect(take("ta")).toBe("ta");
    expect(take(`: ${ANSWER}\n\n`)).toBe(`: ${ANSWER}\n\n`);
    expect(String(filter.finish())).toBe("");
  });

  test("an event that is too large passes unchanged, and so does what follows", () => {
    const answer = `data: ${ANSWER}\n\n`;
    const large = `data: ${"x".repeat(Buffer.byteLength(answer))}\n\n`;
    const maxBytes = Buffer.byteLength(answer);
    expect(String(through([Buffer.from(answer)], { contentType: STREAM_TYPE, maxBytes }))).toBe(
      `data: ${AMENDED}\n\n`,
    );
    for (const stream of [answer, large + answer].map((each) => Buffer.from(each))) {
      const tooSmall = {
        contentType: STREAM_TYPE,
        maxBytes: stream.length === maxBytes ? maxBytes - 1 : maxBytes,
      };
      for (const chunks of everyChunking(stream)) expect(through(chunks, tooSmall)).toEqual(stream);
    }
  });

  test("what would be left as it is, is left as it is written", () => {
    const stream = Buffer.from(`data: a\n\ndata:{"id":1,\ndata:"result":{}\ndata: }\n\n`);
    expect(through([stream], { contentType: STREAM_TYPE, amend: (message) => message })).toEqual(stream);
  });
});

test.for<[contentType: string | undefined, body: string, passed: string]>([
  ["application/json; charset=utf-8", ANSWER, AMENDED],
  ["Application/JSON ;charset=utf-8", ANSWER, AMENDED],
  ["Text/Event-Stream;charset=utf-8", `data: ${ANSWER}\n\n`, `data: ${AMENDED}\n\n`],
  ["text/plain", ANSWER, ANSWER],
  ["application/jsonl", ANSWER, ANSWER],
  ["text/event-streams", `data: ${ANSWER}\n\n`, `data: ${ANSWER}\n\n`],
  ["", ANSWER, ANSWER],
  [undefined, ANSWER, ANSWER],
])("an answer of type %j: %j becomes %j", ([contentType, body, passed]) => {
  expect(String(through([Buffer.from(body)], { contentType }))).toBe(passed);
});

test("what is neither JSON nor a stream passes at once", () => {
  const filter = amending({ contentType: "text/html" });
  expect(String(filter.take(Buffer.from("<html>")))).toBe("<html>");
  expect(String(filter.finish())).toBe("");
});

test("bytes that hold no answer pass, whatever they are", () =>
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array(), fc.constantFrom("\n", "\r", "data:", "\n\n", NOTE, "\ufeff"))),
      fc.constantFrom(JSON_TYPE, STREAM_TYPE, undefined),
      fc.integer({ min: 1, max: 100 }),
      cuts,
      (parts, contentType, maxBytes, fractions) => {
        const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
        expect(through(cutBy(bytes, fractions), { contentType, maxBytes })).toEqual(bytes);
      },
    ),
    { numRuns: 500 },
  ));

function amending(options: Partial<AmendingOptions>) {
  const amend = (message: string) => message.replace(/}$/, ',"amended":"ü"}');
  return amendingFilter({ contentType: undefined, id: 1, maxBytes: 1_000, amend, ...options });
}

function through(chunks: readonly Buffer[], options: Partial<AmendingOptions>): Buffer {
  const filter = amending(options);
  const passed = chunks.map((chunk) => filter.take(chunk));
  return Buffer.concat([...passed, filter.finish()]);
}

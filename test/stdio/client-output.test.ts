import { PassThrough, Writable } from "node:stream";
import { expect, test } from "vitest";
import { createLog, lossy } from "../../src/log/log.ts";
import { type JsonText, toJson } from "../../src/protocol/jsonrpc.ts";
import { ClientOutput, Teller } from "../../src/stdio/client-output.ts";
import { LineReply } from "../../src/stdio/line-reply.ts";

const KILOBYTE = toJson("x".repeat(1_022));

test("a message is one line, whatever space it came with", async () => {
  const stream = new PassThrough();
  new ClientOutput(stream).write('{\r\n  "text": "a\\nb"\n}\n' as JsonText);
  const line = String(stream.read());
  expect(line.indexOf("\n")).toBe(line.length - 1);
  expect(JSON.parse(line)).toEqual({ text: "a\nb" });
});

test("who does not read is told no more than a megabyte by each, and answered all the same", async () => {
  const stream = deafStream();
  const output = new ClientOutput(stream);
  const [first, second] = [new Teller(output), new Teller(output)];

  const sent = Array.from({ length: 1_100 }, () => first.tell(KILOBYTE));
  expect(sent.filter((isSent) => isSent)).toHaveLength(1_025);
  expect(second.tell(KILOBYTE)).toBe(true);

  const reply = new LineReply({ id: 1, output, isSubscription: false, onOver: () => {} });
  const before = stream.writableLength;
  reply.result(KILOBYTE);
  const answered = stream.writableLength;
  expect(answered - before).toBeGreaterThan(KILOBYTE.length);
  reply.result(KILOBYTE);
  expect(stream.writableLength).toBe(answered);
  expect(reply.notify(KILOBYTE)).toBe(false);
});

test("who reads again is told again", async () => {
  const stream = new PassThrough();
  const output = new ClientOutput(stream);
  const teller = new Teller(output);
  while (teller.tell(KILOBYTE));
  stream.resume();
  await output.drained();
  await output.flushed();
  expect(teller.tell(KILOBYTE)).toBe(true);
});

test("who missed something is told so when the client has caught up, once", async () => {
  const stream = new PassThrough();
  const output = new ClientOutput(stream);
  let times = 0;
  const teller = new Teller(output, { maxBehindChars: 100_000, onCaughtUp: () => (times += 1) });
  teller.tell(KILOBYTE);
  while (teller.tell(KILOBYTE));
  stream.resume();
  await output.flushed();
  expect(times).toBe(1);
  teller.tell(KILOBYTE);
  await output.flushed();
  expect(times).toBe(1);
});

test("a client that is too far behind clogs the output", async () => {
  const stream = deafStream();
  const output = new ClientOutput(stream);
  const megabytes = toJson("x".repeat(16 * 1_048_576));
  for (let count = 0; count < 4; count += 1) output.write(megabytes);
  expect(output.isClogged).toBe(true);
});

test("a broken output holds nobody up", async () => {
  const stream = new PassThrough();
  const output = new ClientOutput(stream);
  const teller = new Teller(output);
  while (teller.tell(KILOBYTE));
  const drained = output.drained();
  stream.destroy(new Error("EPIPE"));
  await output.broken;
  output.write(KILOBYTE);
  await Promise.all([drained, output.drained(), output.flushed()]);
});

test("a log that nobody reads is cut short", () => {
  const stream = deafStream();
  const log = createLog("info", lossy(stream));
  for (let line = 0; line < 2_000; line += 1) log.info({ text: KILOBYTE });
  expect(stream.writableLength).toBeGreaterThan(1_048_576);
  expect(stream.writableLength).toBeLessThan(1_100_000);
});

/** Takes nothing, ever. */
function deafStream(): Writable {
  return new Writable({ write: () => {} });
}

/** What holds for every id, and for every way in which the network cuts a stream. */

import { expect, test } from "vitest";
import { questionId, readQuestionId } from "../../src/legacy/question-id.ts";
import { withEndpoint } from "../../src/proxy/filters/endpoint-event.ts";
import { CallsAwaitingInput, isOurState } from "../../src/tasks/awaiting-input.ts";
import * as fc from "../support/properties.ts";

test("the id of a question says which task and which question, whatever the question is called", () =>
  fc.assert(
    fc.property(fc.stringMatching(/^[\w-]{1,40}$/), fc.string(), (taskId, key) => {
      expect(readQuestionId(questionId(taskId, key))).toEqual({ taskId, key });
    }),
  ));

test("any other id is of no question, or says what it was made of", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.anything(),
        fc.string(),
        fc.string().map((rest) => `taskgate:${rest}`),
      ),
      (id) => {
        const read = readQuestionId(id);
        expect(read === undefined || questionId(read.taskId, read.key) === id).toBe(true);
      },
    ),
  ));

test("a state that is anything names a task that could be one, or none", () =>
  fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.anything(),
        fc.string().map((rest) => `taskgate.${rest}`),
        fc
          .array(fc.constantFrom("taskgate.", "A", ".", ":", "/", "\n", "A".repeat(43), ".."))
          .map((parts) => parts.join("")),
      ),
      async (state) => {
        const asked: string[] = [];
        const exists = async (id: string) => asked.push(id) > 1;
        const held = new CallsAwaitingInput({ exists } as unknown as ConstructorParameters<
          typeof CallsAwaitingInput
        >[0]);
        expect(await held.isOurs(state)).toBe(false);
        expect(asked.every((id) => /^[\w-]{1,128}$/.test(id) && isOurState(state))).toBe(true);
      },
    ),
    { numRuns: 500 },
  ));

test("where messages are to be posted is translated alike however the stream is cut, and no other byte is touched", () =>
  fc.assert(
    fc.property(
      fc.constantFrom(
        "/messages?s=1",
        "messages",
        "http://server.example/m",
        "https://evil.example/m",
        "//evil/m",
        "http://[",
        "",
      ),
      fc.constantFrom("", ": hello\n\n", "event: ping\ndata: x\n\n", "data: first\n\n"),
      fc.constantFrom("\n", "\r\n", "\r"),
      fc.array(fc.nat(120), { maxLength: 5 }),
      (endpoint, before, end, cuts) => {
        const said = `${before}event: endpoint\ndata: ${endpoint}\n\ndata: {"id":1}\n\n`.replaceAll(
          "\n",
          end,
        );
        const whole = through([Buffer.from(said)]);
        expect(through(pieces(Buffer.from(said), cuts))).toBe(whole);
        const isFirst = before !== "data: first\n\n";
        const isOwn = !/evil|\[/.test(endpoint);
        expect(whole === said).toBe(!(isFirst && isOwn));
        expect(whole.includes("/mounted/")).toBe(isFirst && isOwn);
        expect(whole.replace(/\/mounted\S*/, endpoint)).toBe(said);
      },
    ),
    { numRuns: 300 },
  ));

function through(chunks: readonly Buffer[]): string {
  const next = { take: (chunk: Buffer) => chunk, finish: () => Buffer.alloc(0) };
  const passage = withEndpoint(next, new URL("http://server.example/sse"), "/mounted");
  return Buffer.concat([...chunks.map((chunk) => passage.take(chunk)), passage.finish()]).toString();
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...cuts].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, at) => bytes.subarray(places[at - 1] ?? 0, end));
}

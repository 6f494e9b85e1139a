import { expect, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { TaskEvent } from "../../src/tasks/task-event.ts";
import { gate, textResult } from "../support/story.ts";
import { CLAIMANT, running } from "./running.ts";

test("what happens to a task is told once, in its order", async () => {
  const events: TaskEvent[] = [];
  const answered = gate();
  const { engine, begin, seen } = await running(
    async (call) => {
      const stream = call.sse();
      const { progressToken } = (call.message.params?._meta ?? {}) as JsonObject;
      stream.notify("notifications/progress", { progressToken, progress: 1, total: 2 });
      await stream.ask("elicitation/create", { message: "Who?", requestedSchema: { type: "object" } });
      answered.open();
      stream.event(call.answer(textResult("done")));
      stream.end();
    },
    undefined,
    { report: (event) => void events.push(event) },
  );
  const { id } = await begin();
  const task = await seen(id, ({ inputRequests }) => Object.keys(inputRequests).length > 0);
  const keys = Object.keys(task?.inputRequests ?? {});
  const responses = Object.fromEntries(keys.map((key) => [key, { action: "accept", content: {} }]));
  await engine.update(id, CLAIMANT, responses);
  await answered.opened;
  await engine.settled();
  await engine.update(id, CLAIMANT, responses);

  const kinds = events.map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind !== "progress")).toEqual([
    "created",
    "sent",
    "asked",
    "answered",
    "ended",
  ]);
  expect(kinds.indexOf("progress")).toBeLessThan(kinds.indexOf("asked"));
  expect(events.find(({ kind }) => kind === "asked")).toMatchObject({ questions: 1, task: { id } });
  expect(events.find(({ kind }) => kind === "answered")).toMatchObject({ answers: 1 });
  const [created, sent] = events.filter(({ kind }) => kind === "created" || kind === "sent");
  expect(created).toMatchObject({ isHeld: false, handleMs: expect.any(Number) });
  expect(sent).toMatchObject({ queueMs: expect.any(Number) });
});

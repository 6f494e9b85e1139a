import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listen } from "../support/listening.ts";
import type { Json, ModernClient } from "../support/modern-client.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { textOf } from "../support/story.ts";
import { NAME } from "./support/ledger.ts";
import { stage } from "./support/stage.ts";
import type { Witness } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

const ANSWER = { action: "accept", content: { name: NAME } };
/** Longer than any of these tests: it ends because it is cancelled, or not at all. */
const FOREVER_MS = 300_000;

describe.skipIf(withoutRedis("two gateways on one Redis"))(
  "what begins at one gateway goes on at another",
  () => {
    const cleanUp: (() => Promise<void>)[] = [];
    let witness: Witness;
    let here: ModernClient;
    let there: ModernClient;

    beforeAll(async () => {
      // With the usual lease, so that nothing below can be owed to it.
      const begun = await stage({
        store: "redis",
        replicas: 2,
        leaseMs: 15_000,
        atEnd: (end) => void cleanUp.unshift(end),
      });
      witness = begun.witness;
      [here, there] = begun.clients("unkept") as [ModernClient, ModernClient];
    }, 240_000);
    afterAll(async () => {
      for (const end of cleanUp) await end();
    });

    test("a result", async () => {
      const id = "result";
      const { taskId } = await here.callTool("work", { id, ms: 300, size: 200_000 });
      expect(await there.task(taskId)).toMatchObject({ status: "working" });
      const ended = await there.settled(taskId);
      expect(ended).toMatchObject({ status: "completed" });
      expect(textOf(ended.result)).toBe(workOf(id, 200_000));
      expect(await here.task(taskId)).toEqual(ended);
    });

    test("a question and its answer", async () => {
      const id = "answer";
      const { taskId } = await here.callTool("ask", { id, ms: 100 });
      const asking = await there.taskWhen(taskId, ({ status }) => status === "input_required");
      const [key = ""] = Object.keys(asking.inputRequests);
      await there.result("tasks/update", { taskId, inputResponses: { [key]: ANSWER } });
      const ended = await there.settled(taskId);
      expect(textOf(ended.result)).toBe(`${id} accept ${NAME}`);
      expect(await witness.seen(id)).toMatchObject({ calls: 1, answers: 1 });
    });

    test("a cancellation, of which the server is told", async () => {
      const id = "cancel";
      const { taskId } = await here.callTool("work", { id, ms: FOREVER_MS });
      await witness.until(id, ({ calls }) => calls === 1);
      await there.result("tasks/cancel", { taskId });
      await witness.until(id, ({ cancelled }) => cancelled === 1);
      expect(await there.settled(taskId)).toMatchObject({ status: "cancelled" });
      expect(await here.settled(taskId)).toMatchObject({ status: "cancelled" });
    });

    test("a subscription: what happens is told as it happens", async () => {
      const id = "listen";
      const { taskId } = await here.callTool("ask", { id, ms: 300 });
      const listening = listen(there, { taskIds: [taskId] });
      expect((await listening.next()).params.notifications).toEqual({ taskIds: [taskId] });
      const asking = await told(listening, ({ status }) => status === "input_required");
      const [key = ""] = Object.keys(asking.inputRequests);
      await here.result("tasks/update", { taskId, inputResponses: { [key]: ANSWER } });
      const ended = await told(listening, ({ status }) => status === "completed");
      expect(textOf(ended.result)).toBe(`${id} accept ${NAME}`);
    });

    test("a round of questions before there is a task", async () => {
      const id = "round";
      const call = { name: "meet", arguments: { id, ms: 50 } };
      const asked = await here.result("tools/call", call);
      expect(asked).toMatchObject({ resultType: "input_required", requestState: expect.any(String) });
      const [key = ""] = Object.keys(asked.inputRequests);
      const { requestState } = asked;
      const answered = await there.result("tools/call", {
        ...call,
        requestState,
        inputResponses: { [key]: ANSWER },
      });
      expect(answered.resultType).toBe("complete");
      expect(textOf(answered)).toBe(`${id} accept ${NAME}`);
      expect(await witness.seen(id)).toMatchObject({ calls: 1, answers: 1 });
    });

    test("the first answer, when both get one at the same time", async () => {
      const id = "both";
      const { taskId } = await here.callTool("ask", { id, ms: 50 });
      const asking = await here.taskWhen(taskId, ({ status }) => status === "input_required");
      const [key = ""] = Object.keys(asking.inputRequests);
      const answer = (client: ModernClient, name: string) =>
        client.result("tasks/update", {
          taskId,
          inputResponses: { [key]: { action: "accept", content: { name } } },
        });
      await Promise.all([answer(here, "Ada"), answer(there, "Grace")]);
      const ended = await there.settled(taskId);
      expect([`${id} accept Ada`, `${id} accept Grace`]).toContain(textOf(ended.result));
      expect(await here.task(taskId)).toEqual(ended);
      expect(await witness.seen(id)).toMatchObject({ calls: 1, answers: 1 });
    });

    test("nothing twice: a gateway that stood still is told what stands when it wakes up", {
      timeout: 240_000,
    }, async () => {
      const { replicas, clients } = await stage({ store: "redis", replicas: 2, leaseMs: 1_000, witness });
      const [sleeper] = replicas;
      const [asleep, awake] = clients("unkept") as [ModernClient, ModernClient];
      const id = "paused";
      const { taskId } = await asleep.callTool("work", { id, ms: 500 });
      await witness.until(id, ({ calls }) => calls === 1);

      await sleeper.pause();
      const ended = await awake.settled(taskId);
      expect(ended).toMatchObject({ status: "failed" });
      await witness.until(id, ({ returned }) => returned === 1);
      sleeper.resume();

      expect(await asleep.task(taskId)).toEqual(ended);
      expect(await awake.task(taskId)).toEqual(ended);
      expect(await witness.seen(id)).toMatchObject({ calls: 1 });
    });
  },
);

async function told(listening: ReturnType<typeof listen>, isWanted: (task: Json) => boolean): Promise<Json> {
  for (;;) {
    const message = await listening.next();
    if (message === undefined) throw new Error("the stream has ended");
    if (isWanted(message.params)) return message.params;
  }
}

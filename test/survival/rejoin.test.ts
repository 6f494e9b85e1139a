import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ModernClient } from "../support/modern-client.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { textOf } from "../support/story.ts";
import { NAME } from "./support/ledger.ts";
import { ENDED_WITHIN_MS, IS_FULL, type Stage, stage } from "./support/stage.ts";
import type { Kind } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

/** How long a call takes that is under way when its gateway is killed. */
const CALL_MS = IS_FULL ? 10_000 : 2_000;
const PATIENCE_MS = 240_000;
const ANSWER = { action: "accept", content: { name: NAME } };

describe.each([
  { store: "level", others: 0 },
  { store: "redis", others: 1 },
] as const)("a gateway is killed during a call ($store, $others others)", ({ store, others }) => {
  const isSkipped = store === "redis" && withoutRedis("rejoining over Redis");
  const cleanUp: (() => Promise<void>)[] = [];
  let begun: Stage;

  beforeAll(async () => {
    if (isSkipped) return;
    begun = await stage({ store, replicas: 1 + others, atEnd: (end) => void cleanUp.unshift(end) });
  }, PATIENCE_MS);
  afterEach(async () => {
    for (const replica of begun.replicas) if (!replica.isRunning) await replica.start();
  });
  afterAll(async () => {
    for (const end of cleanUp) await end();
  });

  test.skipIf(isSkipped).for(["call", "session"])(
    "its question (asked on the stream of the %s) is shown, the answer taken, and the result told",
    { timeout: PATIENCE_MS },
    async (on) => {
      const { witness, clients } = begun;
      const id = `ask on the ${on}`;
      const [user] = clients("kept");
      const { taskId } = await user.callTool("ask", { id, ms: CALL_MS / 2, on });
      const before = await user.taskWhen(taskId, ({ status }) => status === "input_required");

      const survivor = await afterKill("kept");
      const after = await survivor.taskWhen(taskId, ({ status }) => status !== "working");
      expect(after).toMatchObject({ status: "input_required", inputRequests: before.inputRequests });
      const [key = ""] = Object.keys(after.inputRequests);
      await survivor.result("tasks/update", { taskId, inputResponses: { [key]: ANSWER } });
      const ended = await survivor.settled(taskId);

      expect(ended).toMatchObject({ status: "completed" });
      expect(textOf(ended.result)).toBe(`${id} accept ${NAME}`);
      expect(await witness.seen(id)).toEqual({ calls: 1, answers: 1, returned: 1, cancelled: 0 });
    },
  );

  test.skipIf(isSkipped)(
    "a result that the server gave meanwhile is collected",
    { timeout: PATIENCE_MS },
    async () => {
      const { witness, clients } = begun;
      const id = "meanwhile";
      const [user] = clients("kept");
      const { taskId } = await user.callTool("work", { id, ms: CALL_MS, size: 100_000 });
      await user.taskWhen(taskId, ({ statusMessage }) => /begun/.test(statusMessage));

      const survivor = await afterKill("kept", () => witness.until(id, ({ returned }) => returned === 1));
      const ended = await survivor.settled(taskId);

      expect(ended).toMatchObject({ status: "completed" });
      expect(textOf(ended.result)).toBe(workOf(id, 100_000));
      expect(await witness.seen(id)).toMatchObject({ calls: 1, cancelled: 0 });
    },
  );

  test.skipIf(isSkipped)(
    "where the server keeps no events its task fails within the lease, and says why",
    { timeout: PATIENCE_MS },
    async () => {
      const { witness, clients } = begun;
      const id = "unkept";
      const { taskId } = await clients("unkept")[0].callTool("work", { id, ms: PATIENCE_MS });
      await witness.until(id, ({ calls }) => calls === 1);

      const survivor = await afterKill("unkept");
      const since = performance.now();
      const ended = await survivor.settled(taskId);

      expect(performance.now() - since).toBeLessThan(ENDED_WITHIN_MS);
      expect(ended).toMatchObject({
        status: "failed",
        statusMessage: expect.stringMatching(/gateway.*stopped before the server had answered.*not known/),
      });
      expect(await witness.seen(id)).toMatchObject({ calls: 1 });
    },
  );

  /** Kills the first gateway, and gives a client of one that is there afterwards. */
  async function afterKill(kind: Kind, meanwhile = async () => {}): Promise<ModernClient> {
    const [first] = begun.replicas;
    const [itself, other] = begun.clients(kind);
    await first.kill("SIGKILL");
    await meanwhile();
    if (other !== undefined) return other;
    await first.start();
    return itself;
  }
});

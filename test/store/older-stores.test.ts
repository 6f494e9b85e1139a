/**
 * Stores that older gateways have left, each with a task in every state. The files hold the cells of a `level:` store as they stood when
 * the gateway of that commit was killed: `8053e82` wrote results and arguments inside the JSON of their cells, and no checksums.
 *
 * They were made in front of a server whose tools are named after what becomes of their calls, with `always`, except for `waits`, which
 * awaits input within `waitFor`, with `onLoss: retry` for `retries`, a `ttl` of a hundred years and four calls at a time.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import type { Json } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { EVERYTHING } from "../support/story.ts";

interface OlderStore {
  /** By tool: the task's id; for `waits` the state that the client has. */
  readonly tasks: Readonly<Record<string, string>>;
  /** By tool: what the older gateway told of its finished task. */
  readonly seen: Readonly<Record<string, Json>>;
  /** LevelDB's keys and values, without the entries for the sweep. */
  readonly cells: Readonly<Record<string, string>>;
}

test.each(["8053e82", "7a85379"])(
  "a store of %s: what has ended stays, and what has not is looked after",
  async (commit) => {
    const { tasks, seen, cells } = await olderStore(commit);
    const { url } = await written(cells);
    const server = await startScriptedServer({
      "tools/call": (call) => call.text("made by a newer gateway"),
    });
    onTestFinished(server.close);
    const { client } = await gatewayFor({ upstream: server.url, store: url });
    const user = client({ capabilities: EVERYTHING });

    const ended = { done: "completed", refuses: "completed", fails: "failed", cancelled: "cancelled" };
    expect(Object.keys(seen)).toEqual(Object.keys(ended));
    for (const [tool, status] of Object.entries(ended)) {
      const task = await user.task(String(tasks[tool]));
      expect(task).toMatchObject({ status, ...seen[tool] });
    }

    for (const tool of ["runs", "asks"]) {
      const task = await user.settled(String(tasks[tool]));
      expect(task).toMatchObject({
        status: "failed",
        statusMessage: expect.stringContaining("is not known"),
      });
    }
    const answer = await user.send("tools/call", {
      name: "waits",
      arguments: { report: "Q3" },
      requestState: tasks.waits,
      inputResponses: { name: { action: "accept", content: { name: "Ada" } } },
    });
    expect(answer.message.error).toMatchObject({ message: expect.stringContaining("is not known") });

    for (const tool of ["queued", "retries"])
      expect(await user.settled(String(tasks[tool]))).toMatchObject({
        status: "completed",
        result: { content: [{ type: "text", text: "made by a newer gateway" }] },
      });
    const sent = server.received.filter(({ method }) => method === "tools/call");
    expect(sent.map(({ message }) => [message.params?.name, message.params?.arguments]).sort()).toEqual([
      ["queued", { report: "Q3" }],
      ["retries", { report: "Q3" }],
    ]);
  },
);

async function olderStore(commit: string): Promise<OlderStore> {
  return JSON.parse(await readFile(join(import.meta.dirname, "older", `${commit}.json`), "utf8"));
}

async function written(cells: OlderStore["cells"]) {
  const path = await mkdtemp(join(tmpdir(), "taskgate-older-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const db = new ClassicLevel(path);
  await db.batch(Object.entries(cells).map(([key, value]) => ({ type: "put", key, value })));
  await db.close();
  return { url: `level:${path}` };
}

/** What holds for a task whatever its server and its clients do, and in whatever order. */

import { expect, test } from "vitest";
import { Call } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { legacyTask } from "../../src/legacy/task-view.ts";
import { createLog } from "../../src/log/log.ts";
import { modernDetailedTask } from "../../src/modern/task-view.ts";
import type { JsonRpcResponse } from "../../src/protocol/jsonrpc.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import type { CallSession, RequestListener, SessionHolder } from "../../src/upstream/sessions/session.ts";
import { newTask } from "../store/samples.ts";
import * as fc from "../support/properties.ts";

const CLAIMANT = { route: "r", caller: "ada" };
const ASKING = { elicitation: { form: {} } };
const TERMINAL: readonly unknown[] = ["completed", "failed", "cancelled"];
const STATUSES: readonly unknown[] = ["working", "input_required", ...TERMINAL];

/** What a server does to one call; `session` is undefined until the call has been sent. */
class Server {
  readonly answered: unknown[] = [];
  cancellations = 0;
  #holder: SessionHolder | undefined;
  #listener: RequestListener | undefined;
  #settle: { resolve(response: JsonRpcResponse): void; reject(error: unknown): void } | undefined;
  readonly #session: CallSession = {
    request: (_method, _params, listener) => {
      this.#listener = listener;
      const response = new Promise<JsonRpcResponse>((resolve, reject) => {
        this.#settle = { resolve, reject };
      });
      return { id: 7, response, cancel: () => void this.cancellations++ };
    },
    notify: () => {},
    respond: async (id) => void this.answered.push(id),
    hear: () => false,
    setLogLevel: async () => {},
  };

  readonly lease = async (holder: SessionHolder) => {
    this.#holder = holder;
    return { session: this.#session, isReused: false, release: () => {} };
  };

  ask(id: number, method = "elicitation/create"): void {
    const params = { message: "?", requestedSchema: { type: "object", properties: {} } };
    this.#holder?.onRequest({ jsonrpc: "2.0", id, method, params }, this.#session);
  }

  withdraw(requestId: unknown): void {
    this.#holder?.onNotification({
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId },
    });
  }

  progress(progress: number): void {
    this.#listener?.onProgress?.({ progress, message: `at ${progress}` });
  }

  end(result: boolean): void {
    const response = result
      ? { jsonrpc: "2.0" as const, id: 7, result: { content: [] } }
      : { jsonrpc: "2.0" as const, id: 7, error: { code: -32_000, message: "no" } };
    this.#settle?.resolve(response);
  }

  breakOff(): void {
    this.#settle?.reject(new UpstreamFailure("gone", { mayHaveRun: true }));
  }
}

type Act =
  | { readonly kind: "ask" | "withdraw"; readonly id: number; readonly method?: string }
  | { readonly kind: "progress"; readonly progress: number }
  | { readonly kind: "result" | "error" | "break" | "cancel" | "poll" | "wait" }
  | { readonly kind: "update"; readonly at: number; readonly action: string };

const id = fc.integer({ min: 0, max: 3 });
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 3, arbitrary: id.map((each) => ({ kind: "ask", id: each }) as const) },
  fc.constantFrom("roots/list", "x/unknown").map((method) => ({ kind: "ask", id: 9, method }) as const),
  { weight: 2, arbitrary: id.map((each) => ({ kind: "withdraw", id: each }) as const) },
  fc.nat(10).map((progress) => ({ kind: "progress", progress }) as const),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("update" as const),
      at: fc.nat(3),
      action: fc.constantFrom("accept", "decline", "maybe"),
    }),
  },
  { weight: 3, arbitrary: fc.constantFrom("poll", "wait").map((kind) => ({ kind }) as const) },
  fc.constantFrom("result", "error", "break", "cancel").map((kind) => ({ kind }) as const),
);

test("a task has one ending, and is as the specification has it until then and from then on", async () => {
  const store = await openMemoryStore("memory:");
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 12 }), async (acts) => {
      const engine = new TaskEngine({ store, log: createLog("silent") });
      const server = new Server();
      const call = new Call({
        lease: server.lease,
        slots: new Slots({ maxConcurrent: 1, maxQueued: 1 }),
        caller: CLAIMANT.caller,
        capabilities: ASKING,
        method: "tools/call",
        params: { name: "job" },
        maxRuntimeMs: 60_000,
      });
      const endings = new Set<string>();
      let ends = 0;
      call.listen({ onEnd: () => void ends++ });
      const { id: task } = await engine.createTask(call.start(), newTask(CLAIMANT), 10_000);
      await turn();

      const look = async (): Promise<string[]> => {
        const view = await engine.get(task, CLAIMANT);
        const modern = JSON.parse(modernDetailedTask(view, engine.now(), {}));
        const legacy = legacyTask(view, engine.now());
        const asked = Object.keys(modern.inputRequests ?? {});
        expect(STATUSES).toContain(modern.status);
        expect(STATUSES).toContain(legacy.status);
        expect(TERMINAL.includes(modern.status)).toBe(view.outcome !== undefined);
        expect(modern.status === "input_required").toBe(asked.length > 0);
        // Each state has what belongs to it, and nothing that belongs to another (2026-07-28, Tasks §Task Status).
        expect("result" in modern).toBe(modern.status === "completed");
        expect("error" in modern).toBe(modern.status === "failed");
        // Once it has ended, it has.
        expect(view.outcome !== undefined || endings.size === 0).toBe(true);
        if (view.outcome !== undefined) endings.add(JSON.stringify([view.outcome, modern, legacy]));
        expect(Object.keys(view.task.inputRequests)).toEqual(view.outcome ? [] : asked);
        return asked;
      };
      for (const each of acts) {
        await perform(each, { server, engine, task, look });
        await look();
      }
      server.end(true);
      await turn();
      call.cancel("over");
      await engine.settled();
      await look();
      expect(endings.size).toBe(1);
      expect(ends).toBe(1);
      await engine.close();
      await look();
      expect(endings.size).toBe(1);
    }),
    { numRuns: 150 },
  );
  await store.close();
});

interface Stage {
  readonly server: Server;
  readonly engine: TaskEngine;
  readonly task: string;
  look(): Promise<string[]>;
}

async function perform(each: Act, { server, engine, task, look }: Stage): Promise<void> {
  switch (each.kind) {
    case "ask":
      return server.ask(each.id, each.method);
    case "withdraw":
      return server.withdraw(each.id);
    case "progress":
      return server.progress(each.progress);
    case "result":
    case "error":
      return server.end(each.kind === "result");
    case "break":
      return server.breakOff();
    case "cancel":
      return void (await engine.cancel(task, CLAIMANT));
    case "poll":
      return void (await look());
    case "wait":
      return turn();
    case "update": {
      const asked = await look();
      const key = asked[each.at % Math.max(1, asked.length)] ?? "none";
      const answer = { [key]: { action: each.action, content: {} } };
      const refusal = await engine.update(task, CLAIMANT, answer).catch(({ code }) => code);
      expect(each.action === "maybe" ? [undefined, -32602] : [undefined]).toContain(refusal);
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

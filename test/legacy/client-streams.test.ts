/** How clients of 2025-11-25 are reached in the course of their tasks, and that nothing is left of it afterwards. */

import { expect, onTestFinished, test, vi } from "vitest";
import { Call } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { ClientStreams, sessionKey } from "../../src/legacy/client-streams.ts";
import { questionId, readQuestionId } from "../../src/legacy/question-id.ts";
import { createLog } from "../../src/log/log.ts";
import type { JsonRpcMessage } from "../../src/protocol/jsonrpc.ts";
import type { ClientStream } from "../../src/requests/client-stream.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { Session } from "../../src/upstream/sessions/session.ts";
import type { Transport } from "../../src/upstream/transports/transport.ts";
import { Conditions } from "../support/conditions.ts";
import type { Json } from "../support/modern-client.ts";

const ADA = { route: "r", caller: "ada" };
const EVE = { route: "r", caller: "eve" };
const KEY = sessionKey(ADA, "s") ?? expect.unreachable("a session with an id has a key");
const TASK = "a task";
const QUESTION = { jsonrpc: "2.0", id: 0, method: "roots/list" } as const;

test("a session is told of its task until that has ended, and then nobody watches it any more", async () => {
  const { channels, engine, begin } = await setUp();
  const listening = new Heard();
  const leave = channels.listen(KEY, listening);
  const { call, id } = await begin();
  expect([engine.watchers, channels.isHearing(KEY)]).toEqual([1, true]);
  call.cancel("enough");
  expect(await listening.first("notifications/tasks/status")).toMatchObject({
    params: { taskId: id, status: "cancelled" },
  });
  await engine.until(() => engine.watchers === 0);
  expect(channels.isHearing(KEY)).toBe(false);
  leave();
});

test("a task whose session does not listen is watched until its end, and no longer", async () => {
  const { engine, begin } = await setUp();
  const { call } = await begin();
  call.cancel("enough");
  await engine.until(() => engine.watchers === 0);
});

test("a task without a session is watched until its end, and no longer", async () => {
  const { channels, engine, begin } = await setUp();
  const { call } = await begin({ session: undefined });
  expect(channels.isHearing(KEY)).toBe(false);
  call.cancel("enough");
  await engine.until(() => engine.watchers === 0);
});

test("a call that has ended is not followed", async () => {
  const { channels, engine, begin } = await setUp();
  const { call, id } = await begin();
  call.cancel("enough");
  await engine.until(() => engine.watchers === 0);
  channels.follow(id, ADA, { session: KEY, call, progressToken: 1 });
  expect([engine.watchers, channels.isHearing(KEY)]).toEqual([0, false]);
});

test("a task that cannot be found is followed no further", async () => {
  const { channels, engine, begin } = await setUp();
  const { call } = await begin({ session: undefined });
  channels.follow("unknown", ADA, { session: KEY, call, progressToken: 1 });
  await engine.until(() => !channels.isHearing(KEY));
  expect(engine.watchers).toBe(1);
  call.cancel("enough");
});

test("whoever waits is asked, and leaves nothing behind", async () => {
  const { channels, engine, begin } = await setUp();
  const { call, id, say } = await begin();
  const waiting = new Heard();
  const leave = channels.attend(id, ADA, waiting);
  say(QUESTION);
  const { id: asked } = await waiting.first("roots/list");
  expect(readQuestionId(asked)).toEqual({ taskId: id, key: "roots-1" });
  leave();
  call.cancel("enough");
  await engine.until(() => engine.watchers === 0);
});

test("whoever waits for a task that nobody follows is asked as well", async () => {
  const { channels, engine, begin } = await setUp();
  const { call, id, say } = await begin({ session: undefined });
  say(QUESTION);
  const waiting = new Heard();
  const leave = channels.attend(id, ADA, waiting);
  await waiting.first("roots/list");
  call.cancel("enough");
  await waiting.first("notifications/cancelled");
  leave();
  await engine.until(() => engine.watchers === 0);
});

test("a stream that takes nothing is passed over", async () => {
  const { channels, begin } = await setUp();
  const [open, deaf, closed] = [new Heard(), new Heard({ isDeaf: true }), new Heard({ isOpen: false })];
  const leaving = [open, deaf, closed].map((channel) => channels.listen(KEY, channel));
  const { call, id, say } = await begin();
  const waiting = new Heard({ isDeaf: true });
  leaving.push(channels.attend(id, ADA, waiting));
  say(QUESTION);
  await open.first("roots/list");
  expect([deaf.messages, closed.messages, waiting.messages]).toEqual([[], [], []]);
  call.cancel("enough");
  for (const leave of leaving) leave();
});

test("what was asked on a stream that has closed is asked on the one that is left", async () => {
  const { channels, begin } = await setUp();
  const [first, second] = [new Heard(), new Heard()];
  const leaveFirst = channels.listen(KEY, first);
  const leaveSecond = channels.listen(KEY, second);
  const { call, say } = await begin();
  say(QUESTION);
  const { id } = await second.first("roots/list");
  expect(first.messages).toEqual([]);
  second.isOpen = false;
  leaveSecond();
  expect((await first.first("roots/list")).id).toBe(id);
  call.cancel("enough");
  leaveFirst();
});

test("what another caller answers withdraws no question without a word", async () => {
  const { channels, begin } = await setUp();
  const listening = new Heard();
  channels.listen(KEY, listening);
  const { call, id, say } = await begin();
  say(QUESTION);
  await listening.first("roots/list");
  channels.answered(id, "roots-1", EVE);
  call.cancel("enough");
  expect((await listening.first("notifications/cancelled")).params).toEqual({
    requestId: questionId(id, "roots-1"),
  });
});

test("what its own client has answered is withdrawn in silence", async () => {
  const { channels, begin } = await setUp();
  const listening = new Heard();
  channels.listen(KEY, listening);
  const { call, id, say } = await begin();
  say(QUESTION);
  await listening.first("roots/list");
  channels.answered(id, "unknown", ADA);
  channels.answered(id, "roots-1", ADA);
  channels.answered("unknown", "roots-1", ADA);
  call.cancel("enough");
  await listening.first("notifications/tasks/status", 2);
  expect(listening.messages.map(({ method }) => method)).not.toContain("notifications/cancelled");
});

test("a request that waits is let go of once it is taken back, and not when it has its answer", async () => {
  const { channels } = await setUp();
  const letGo = vi.fn();
  const answered = channels.wait(KEY, 0, { task: TASK, letGo });
  expect([channels.letGo(KEY, "0"), channels.letGo(KEY, undefined), letGo.mock.calls.length]).toEqual([
    false,
    false,
    0,
  ]);
  expect([channels.letGo(KEY, 0), letGo.mock.calls.length]).toEqual([true, 1]);
  answered();
  expect([channels.letGo(KEY, 0), letGo.mock.calls.length]).toEqual([false, 1]);
});

test("of two requests with one id the last is taken back, and the end of the first changes nothing", async () => {
  const { channels } = await setUp();
  const [first, second] = [vi.fn(), vi.fn()];
  const answered = channels.wait(KEY, 1, { task: TASK, letGo: first });
  channels.wait(KEY, 1, { task: TASK, letGo: second });
  answered();
  expect(channels.letGo(KEY, 1)).toBe(true);
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
});

test("sessions of two callers with one id are two", async () => {
  const { channels } = await setUp();
  const letGo = vi.fn();
  channels.wait(KEY, 1, { task: TASK, letGo });
  const others = [sessionKey(EVE, "s"), sessionKey({ ...ADA, route: "other" }, "s"), sessionKey(ADA, "S")];
  for (const other of others) expect(other !== undefined && channels.letGo(other, 1)).toBe(false);
  expect([letGo.mock.calls.length, sessionKey(ADA, undefined)]).toEqual([0, undefined]);
});

test("what is asked on the session's stream is one task's only while it is alone", async () => {
  const { channels, begin } = await setUp();
  expect(channels.hear(KEY, QUESTION)).toBe(false);
  const passed = channels.pass(KEY);
  const { call } = await begin();
  expect(channels.hear(KEY, QUESTION)).toBe(false);
  passed();
  expect(channels.hear(KEY, QUESTION)).toBe(true);
  // A second one may well be of a later call, but this is the same again.
  const other = await begin();
  expect([channels.hear(KEY, QUESTION), channels.hear(KEY, { ...QUESTION, id: 1 })]).toEqual([true, false]);
  call.cancel("enough");
  other.call.cancel("enough");
});

test("a store that is away is asked again", async () => {
  const { channels, engine, begin } = await setUp();
  const listening = new Heard();
  channels.listen(KEY, listening);
  const { call, say } = await begin();
  const find = vi.spyOn(engine, "find").mockRejectedValueOnce(new StoreUnavailable("away"));
  say(QUESTION);
  await listening.first("roots/list");
  expect(find.mock.calls.length).toBeGreaterThanOrEqual(2);
  call.cancel("enough");
});

test("when it is closed nobody is told anything any more", async () => {
  const { channels, engine, begin } = await setUp();
  const [listening, waiting] = [new Heard(), new Heard()];
  const leave = channels.listen(KEY, listening);
  const { call, id } = await begin();
  const left = channels.attend(id, ADA, waiting);
  await engine.until(() => engine.watchers === 1);
  channels.close();
  expect(engine.watchers).toBe(0);
  call.cancel("enough");
  await engine.settled();
  left();
  leave();
  expect([listening.messages, waiting.messages, channels.isHearing(KEY)]).toEqual([[], [], false]);
});

/** An engine that knows how many watch it. */
class WatchedEngine extends TaskEngine {
  watchers = 0;
  readonly #conditions = new Conditions(() => `${this.watchers} are watching`);

  override watch(id: string, changed: () => void): () => void {
    const stop = super.watch(id, changed);
    this.watchers += 1;
    return () => {
      stop();
      this.watchers -= 1;
      queueMicrotask(() => this.#conditions.check());
    };
  }

  async until(condition: () => boolean): Promise<void> {
    await this.#conditions.found(() => condition() || undefined, "nobody to be watching");
  }
}

/** A stream, and what was sent on it. */
class Heard implements ClientStream {
  readonly messages: Json[] = [];
  isOpen: boolean;
  readonly #isDeaf: boolean;
  readonly #conditions = new Conditions(() => `heard: ${JSON.stringify(this.messages)}`);

  constructor({ isOpen = true, isDeaf = false } = {}) {
    this.isOpen = isOpen;
    this.#isDeaf = isDeaf;
  }

  send(message: string): boolean {
    if (this.#isDeaf) return false;
    this.messages.push(JSON.parse(message));
    this.#conditions.check();
    return true;
  }

  first(method: string, nth = 1): Promise<Json> {
    const find = () => this.messages.filter((message) => message.method === method)[nth - 1];
    return this.#conditions.found(find, method);
  }
}

async function setUp() {
  const log = createLog("silent");
  const store = await openMemoryStore("memory:");
  const engine = new WatchedEngine({ store, log });
  const channels = new ClientStreams(engine);
  const slots = new Slots({ maxConcurrent: 9, maxQueued: 0 });
  const terms = { ttlMs: 60_000, pollIntervalMs: 500, maxPollIntervalMs: 500, maxRuntimeMs: 60_000 };
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await engine.close();
    channels.close();
    await store.close();
  });

  /** A task of a session's whose server says what the test says; resolves when the server has been asked. */
  async function begin({ session }: { session: typeof KEY | undefined } = { session: KEY }) {
    const wire = new QuietWire();
    const call = new Call({
      lease: async (holder) => ({
        session: Session.join({ transport: wire, holder, onGarbage: () => undefined, idPrefix: "" }),
        isReused: false,
        release: () => undefined,
      }),
      slots,
      caller: "ada",
      method: "tools/call",
      params: { name: "t" },
      maxRuntimeMs: 60_000,
    });
    const { id } = await engine.createTask(call, { ...ADA, tool: "t", terms }, 1_000);
    channels.follow(id, ADA, { session, call, progressToken: undefined });
    const sent = new Promise<void>((resolve) => call.listen({ onSent: resolve }));
    call.start();
    await sent;
    return { call, id, say: (message: JsonRpcMessage) => wire.onMessage(message) };
  }

  return { channels, engine, begin };
}

/** A server that takes everything and says nothing by itself. */
class QuietWire implements Transport {
  onMessage: Transport["onMessage"] = () => undefined;
  onGarbage: Transport["onGarbage"] = () => undefined;
  onLost: Transport["onLost"] = () => undefined;
  async tell(): Promise<void> {}
  ask(): ReturnType<Transport["ask"]> {
    return { ended: new Promise(() => undefined), stop: () => undefined };
  }
  setProtocolVersion(): void {}
  async initialized(): Promise<void> {}
  async close(): Promise<void> {}
}

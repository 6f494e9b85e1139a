/** What a modern client gets of a legacy server, whichever transport that speaks. */

import { describe, expect, onTestFinished, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type GatewaySettings, type GatewayUnderTest, gatewayFor } from "../support/gateway.ts";
import { type Json, type ModernClient, TASKS } from "../support/modern-client.ts";
import { accept, EVERYTHING, INPUT, type StorySettings, textOf } from "../support/story.ts";
import { startUpstream, type TransportUnderTest, type UpstreamUnderTest } from "./upstream-witness.ts";

export interface UpstreamContract {
  readonly transport: TransportUnderTest;
  /** As in the configuration; what it is unless given there. */
  readonly sessions?: GatewaySettings["sessions"];
  /** What the gateway finds the server to be; legacy unless given. */
  readonly era?: RegExp;
  /** What the client is told when the server dies in the middle of its call. */
  readonly death: RegExp;
  /** What the transport cannot do, and why. */
  readonly cannot: Partial<Record<Ability, string>>;
}

/** What some transports have no way to do. */
export type Ability =
  | "progress"
  | "questions"
  | "parallel questions"
  | "cancel"
  | "logging"
  | "list changes"
  | "list changes by a call";

interface Told extends GatewayUnderTest {
  readonly server: UpstreamUnderTest;
  /** Declares tasks and every kind of input. */
  readonly user: ModernClient;
}

const PARIS = { role: "assistant", model: "m", content: { type: "text", text: "Paris" } };
const HOME = { roots: [{ uri: "file:///home", name: "home" }] };
const LARGE = 3_000_000;

/** What a server answers in place of a result, and what the client is told of it, over every transport alike. */
const UNUSABLE = {
  NaN: /answer cannot be used: it is not JSON: it contains NaN$/,
  "cut off": /answer cannot be used: it is not JSON$/,
  "id null": /answer cannot be used: its id is null; it says: Parse error$/,
  "no id": /answer cannot be used: it has no id$/,
  "another id": /answer cannot be used: its id is 5, expected \d+$/,
  "id of another kind": /answer cannot be used: its id is an array, expected a string or an integer$/,
  "error null": /answer cannot be used: its error is null: an answer has either a result or an error$/,
  "error is a text": /answer cannot be used: its error is a text, expected an object .*; it says: boom$/,
  "error without code":
    /answer cannot be used: its error's code is missing, expected an integer; it says: boom$/,
  "error without message": /answer cannot be used: its error's message is missing, expected a string$/,
  "result null": /answer cannot be used: its result is null, expected an object$/,
  "result is a text": /answer cannot be used: its result is "yes", expected an object$/,
  neither: /answer cannot be used: it has neither a result nor an error$/,
  "no jsonrpc": /answer cannot be used: its jsonrpc is missing, expected "2.0"$/,
  "jsonrpc 1.0": /answer cannot be used: its jsonrpc is "1.0", expected "2.0"$/,
  "method beside it": /answer cannot be used: it has a method, which only a request has$/,
};

const QUESTIONS = [
  ["ask", "elicitation/create", accept({ name: "Ada" }), "one: accept Ada"],
  ["sample", "sampling/createMessage", PARIS, "The model says Paris"],
  ["roots", "roots/list", HOME, "file:///home"],
] as const;

/** Tells the stories that a server over any transport has to be good for. */
export function describeUpstream({
  transport,
  sessions,
  era = /^legacy 2025-/,
  death,
  cannot,
}: UpstreamContract): void {
  const tell = async (settings: StorySettings = {}): Promise<Told> => {
    const server = await startUpstream(transport);
    const tested = await gatewayFor({ ...server.settings, sessions, ...settings });
    return { ...tested, server, user: tested.client({ capabilities: EVERYTHING }) };
  };
  /** Every call is a task from the start. */
  const tellOfTasks = () => tell({ policy: { mode: "always" } });
  /** A quick call is quick on a busy machine. */
  const tellOfRounds = () => tell({ policy: { waitForMs: 60_000 } });

  /** The stories that take something which not every transport can do. */
  function describeAbility(ability: Ability, stories: () => void): void {
    // Why not is said where the suite is used; what a transport cannot do is not skipped, it is not there.
    if (cannot[ability] === undefined) describe(ability, stories);
  }

  describe("results", () => {
    test("a quick call is answered at once", async () => {
      const { user, gateway } = await tellOfRounds();
      expect(gateway.routes[0]?.description).toMatch(era);
      expect(await user.callTool("echo", { text: "é✓\n" })).toMatchObject({
        resultType: "complete",
        content: [{ type: "text", text: "é✓\n" }],
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "storyteller" } },
      });
    });

    test("a slow call becomes a task, and is completed when the server is done", async () => {
      const { user, server } = await tell();
      const { resultType, taskId } = await user.callTool("hold", { label: "one" });
      expect(resultType).toBe("task");
      await server.until("held", "one");
      expect((await user.task(taskId)).status).toBe("working");
      server.release("one");
      expect(await user.settled(taskId)).toMatchObject({
        status: "completed",
        result: { resultType: "complete", content: [{ text: "one was released" }] },
      });
    });

    test("3 MB are a result like any other", async () => {
      const { user } = await tellOfRounds();
      expect(textOf(await user.callTool("large", { bytes: LARGE }))).toHaveLength(LARGE);
    });

    test("3 MB are a task's result like any other", async () => {
      const { user } = await tellOfTasks();
      const { taskId } = await user.callTool("large", { bytes: LARGE });
      expect(textOf((await user.settled(taskId)).result)).toHaveLength(LARGE);
    });

    test("an error of the tool is a result", async () => {
      const { user } = await tellOfTasks();
      const { taskId } = await user.callTool("fail");
      expect(await user.settled(taskId)).toMatchObject({
        status: "completed",
        result: { isError: true, content: [{ text: "It cannot be done" }] },
      });
    });

    const BROKEN = { code: 42, message: "The machine is broken", data: { part: "wheel" } };

    test("an error of the server fails the call", async () => {
      const { user } = await tellOfRounds();
      const { message } = await user.send("tools/call", { name: "break" });
      expect(message.error).toEqual(BROKEN);
    });

    test("an error of the server fails the task", async () => {
      const { user } = await tellOfTasks();
      const { taskId } = await user.callTool("break");
      expect(await user.settled(taskId)).toMatchObject({ status: "failed", error: BROKEN });
    });

    test("what can only be an answer ends the call, with what is wrong with it", async () => {
      const { user } = await tellOfRounds();
      for (const [how, why] of Object.entries(UNUSABLE)) {
        const { message } = await user.send("tools/call", { name: "garble", arguments: { how } });
        expect(message.error, how).toMatchObject({
          code: -32603,
          message: expect.stringMatching(why),
        });
      }
      expect(textOf(await user.callTool("echo", { text: "still there" }))).toBe("still there");
    });

    test("an answer that is readable is taken, though it is odd", async () => {
      const { user } = await tellOfRounds();
      for (const how of ["text id", "text with a fraction", "batch", "nothing before"])
        expect(textOf(await user.callTool("garble", { how }))).toBe(`garble ${how}`);
    });

    test("a method that nobody has heard of passes, and so does its result", async () => {
      const { user } = await tell();
      expect(await user.result("x-vendor/count", { number: 7 })).toMatchObject({
        echoed: "x-vendor/count",
        number: 7,
      });
    });

    test("lists are the server's", async () => {
      const { user } = await tell();
      expect((await user.result("tools/list")).tools.map(({ name }: Json) => name)).toContain("hold");
    });
  });

  describe("ends that the server did not choose", () => {
    test("a server that dies fails the task, and the next call works", async () => {
      const { user, server } = await tell();
      const { taskId } = await user.callTool("hold", { label: "doomed" });
      await server.until("held", "doomed");
      await server.crash();
      expect(await user.settled(taskId)).toMatchObject({
        status: "failed",
        statusMessage: expect.stringMatching(death),
        error: { message: expect.stringMatching(death) },
      });
      const next = await user.callTool("hold", { label: "next" });
      await server.until("held", "next");
      server.release("next");
      expect(textOf((await user.settled(next.taskId)).result)).toBe("next was released");
    });

    test("a call that runs too long is ended, and the next call works", async () => {
      const { user, server } = await tell({
        tools: [{ match: "hold", maxRuntimeMs: 1_500 }],
        policy: { waitForMs: 60_000 },
      });
      await user.callTool("echo", { text: "there is a session" });
      const handle = await user.send("tools/call", { name: "hold", arguments: { label: "late" } });
      expect(handle.message.error).toMatchObject({
        code: -32603,
        message: expect.stringContaining("longer than maxRuntime (1500 ms)"),
      });
      await server.until("held", "late");
      expect(textOf(await user.callTool("echo", { text: "still there" }))).toBe("still there");
    });
  });

  describeAbility("cancel", () => {
    test("a task that is cancelled is cancelled on the server", async () => {
      const { user, server } = await tell();
      const { taskId } = await user.callTool("hold", { label: "unwanted" });
      await server.until("held", "unwanted");
      await user.result("tasks/cancel", { taskId });
      expect((await user.settled(taskId)).status).toBe("cancelled");
      await server.until("cancelled", "unwanted");
      const other = await user.callTool("hold", { label: "other" });
      await server.until("held", "other");
      server.release("other");
      expect(textOf((await user.settled(other.taskId)).result)).toBe("other was released");
    });

    test("a call whose client hangs up is cancelled on the server", async () => {
      const { client, server } = await tell();
      const stop = new AbortController();
      const call = { name: "hold", arguments: { label: "left" } };
      const open = client({ capabilities: {} }).send("tools/call", call, { signal: stop.signal });
      const gone = expect(open).rejects.toThrow();
      await server.until("held", "left");
      stop.abort();
      await gone;
      await server.until("cancelled", "left");
    });

    test("a call that runs too long is cancelled on the server", async () => {
      const { user, server } = await tell({
        policy: { waitForMs: 60_000 },
        tools: [{ match: "hold", mode: "always", maxRuntimeMs: 1_500 }],
      });
      await user.callTool("echo", { text: "there is a session" });
      const { taskId } = await user.callTool("hold", { label: "late" });
      expect(await user.settled(taskId)).toMatchObject({
        status: "failed",
        statusMessage: expect.stringContaining("longer than maxRuntime (1500 ms)"),
      });
      await server.until("cancelled", "late");
    });
  });

  describeAbility("progress", () => {
    test("is the message of a task", async () => {
      const { user, server } = await tellOfTasks();
      const { taskId } = await user.callTool("steps", { label: "walk" });
      const midway = await user.taskWhen(taskId, ({ statusMessage }) => /halfway/.test(statusMessage));
      expect(midway.status).toBe("working");
      server.release("walk");
      expect(textOf((await user.settled(taskId)).result)).toBe("walk took 2 steps");
    });

    test("reaches a client that waits, under its own token", async () => {
      const { client, server } = await tell();
      server.release("walk");
      const { message, before } = await client({ capabilities: {} }).send(
        "tools/call",
        { name: "steps", arguments: { label: "walk" } },
        { meta: { progressToken: "mine" } },
      );
      expect(before).toMatchObject([
        { method: "notifications/progress", params: { progressToken: "mine", progress: 1, total: 2 } },
        { method: "notifications/progress", params: { progressToken: "mine", progress: 2, total: 2 } },
      ]);
      expect(textOf(message.result)).toBe("walk took 2 steps");
    });
  });

  describeAbility("logging", () => {
    test("reaches a client that asked for it", async () => {
      const { client } = await tell();
      const meta = { "io.modelcontextprotocol/logLevel": "info" };
      const { message, before } = await client({ capabilities: {} }).send(
        "tools/call",
        { name: "log" },
        { meta },
      );
      expect(before).toMatchObject([
        { method: "notifications/message", params: { level: "info", data: "once upon a time" } },
      ]);
      expect(textOf(message.result)).toBe("logged");
    });
  });

  describeAbility("list changes", () => {
    const WANTED = { toolsListChanged: true };
    const CHANGED = {
      method: "notifications/tools/list_changed",
      params: { _meta: { "io.modelcontextprotocol/subscriptionId": "s" } },
    };
    const areTold = async (change: (told: Told) => unknown): Promise<void> => {
      const told = await tellOfRounds();
      const stop = new AbortController();
      onTestFinished(() => stop.abort());
      const options = { id: "s", signal: stop.signal };
      const stream = told.user.stream("subscriptions/listen", { notifications: WANTED }, options);
      expect((await stream.next()).value.params.notifications).toEqual(WANTED);
      await change(told);
      expect((await stream.next()).value).toMatchObject(CHANGED);
      const { tools } = await told.user.result("tools/list");
      expect(tools.map(({ name }: Json) => name)).toContain("new");
    };

    test("while nobody calls, are told to those who listen", () =>
      areTold(({ server }) => server.changeTools()));

    describeAbility("list changes by a call", () => {
      test("are told to those who listen", () => areTold(({ user }) => user.callTool("change")));
    });
  });

  describeAbility("questions", () => {
    test.each(QUESTIONS)(
      "%s: a client without tasks is asked in rounds",
      async (tool, method, reply, says) => {
        const { client } = await tell();
        const user = client({ capabilities: INPUT });
        const { inputRequests, requestState, resultType } = await user.callTool(tool, { label: "one" });
        expect(resultType).toBe("input_required");
        const [key = "", ...others] = Object.keys(inputRequests);
        expect(others).toEqual([]);
        expect(inputRequests[key].method).toBe(method);
        const params = { requestState, inputResponses: { [key]: reply } };
        expect(textOf(await user.callTool(tool, { label: "one" }, { params }))).toBe(says);
      },
    );

    test.each(QUESTIONS)("%s: a task asks for input", async (tool, method, reply, says) => {
      const { user } = await tellOfTasks();
      const { taskId } = await user.callTool(tool, { label: "one" });
      const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
      const [key = ""] = Object.keys(inputRequests);
      expect(inputRequests[key].method).toBe(method);
      await user.result("tasks/update", { taskId, inputResponses: { [key]: reply } });
      expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
      expect(textOf((await user.task(taskId)).result)).toBe(says);
    });

    test("two callers at once are each asked their own, and get their own answers", async () => {
      const { client } = await tell({
        policy: { mode: "always" },
        identify: byName,
      });
      const names = ["ada", "grace"] as const;
      const told = await Promise.all(
        names.map((name) => answering(client({ capabilities: CALLER, headers: { "x-user": name } }), name)),
      );
      expect(told).toEqual(
        names.map((name) => ({ asked: [`Who is ${name}?`], answer: `${name}: accept ${name}` })),
      );
    });

    describeAbility("parallel questions", () => {
      test("of two callers are both open at once, and whoever answers first answers his own", async () => {
        const { client } = await tell({ policy: { mode: "always" }, identify: byName });
        const users = ["ada", "grace"].map((name) => ({
          name,
          user: client({ capabilities: CALLER, headers: { "x-user": name } }),
        }));
        const asked = await Promise.all(
          users.map(async ({ name, user }) => {
            const { taskId } = await user.callTool("ask", { label: name });
            const task = await user.taskWhen(taskId, ({ status }) => status === "input_required");
            return { name, user, taskId, questions: Object.entries<Json>(task.inputRequests) };
          }),
        );
        for (const { name, user, taskId, questions } of asked.reverse()) {
          expect(questions.map(([, { params }]) => params.message)).toEqual([`Who is ${name}?`]);
          const answers = questions.map(([key]) => [key, accept({ name })]);
          await user.result("tasks/update", { taskId, inputResponses: Object.fromEntries(answers) });
          expect(textOf((await user.settled(taskId)).result)).toBe(`${name}: accept ${name}`);
        }
      });

      test("of two calls of one caller do not get each other's answers", async () => {
        const { user } = await tellOfTasks();
        const told = await Promise.all(["one", "two", "three"].map((name) => answering(user, name)));
        expect(told.map(({ answer }) => answer)).toEqual([
          "one: accept one",
          "two: accept two",
          "three: accept three",
        ]);
      });
    });
  });
}

const byName: GatewaySettings["identify"] = ({ headers }) => ({
  key: String(headers["x-user"]),
  headers: {},
  isIdentified: true,
});

const CALLER = { ...TASKS, elicitation: { form: {} } };

/** Makes a call as `name`, answers what it asks with the name, and gives what was asked and answered. */
async function answering(user: ModernClient, name: string): Promise<JsonObject> {
  const { taskId } = await user.callTool("ask", { label: name });
  const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const asked = Object.values<Json>(inputRequests).map(({ params }) => params.message);
  const answers = Object.keys(inputRequests).map((key) => [key, accept({ name })]);
  await user.result("tasks/update", { taskId, inputResponses: Object.fromEntries(answers) });
  return { asked, answer: textOf((await user.settled(taskId)).result) };
}

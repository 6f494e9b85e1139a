import { expect, test } from "vitest";
import { complete, elicits, modernStory, said, wants } from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { accept, EVERYTHING, form, gate, story, textResult } from "../../support/story.ts";
import {
  AS_TASK,
  answerText,
  besides,
  expectServed,
  nested,
  outcome,
  outcomes,
  progress,
  tokenOf,
} from "./hostile.ts";

const TOO_DEEP = /nested deeper than 128 levels \(limits\.maxDepth\)/;
const DEPTHS: [string, Script][] = [
  ["JSON", (call) => call.response.writeHead(200, JSON_TYPE).end(answerText(call.message.id, nested(200)))],
  [
    "an event",
    (call) =>
      call
        .sse()
        .raw(`data: ${answerText(call.message.id, nested(200))}\n\n`)
        .end(),
  ],
  [
    "an event behind another",
    (call) =>
      call
        .sse()
        .event(progress(tokenOf(call), { progress: 1 }))
        .raw(`data: ${answerText(call.message.id, nested(200))}\n\n`)
        .end(),
  ],
  [
    "many lines of one event",
    (call) =>
      call
        .sse()
        .raw(`${"data: [\r\n".repeat(200)}${"data: ]\r\n".repeat(200)}\r\n`)
        .end(),
  ],
  [
    "an error",
    (call) =>
      call.response
        .writeHead(200, JSON_TYPE)
        .end(
          `{"jsonrpc":"2.0","id":${call.message.id},"error":{"code":1,"message":"m","data":${nested(200)}}}`,
        ),
  ],
  [
    "a question",
    (call) =>
      void call
        .sse()
        .raw(
          `data: {"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"x":${nested(200)}}}\n\n`,
        ),
  ],
  [
    "a notification",
    (call) =>
      void call
        .sse()
        .raw(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":${nested(200)}}}\n\n`),
  ],
  [
    "five million levels",
    (call) =>
      call
        .sse()
        .raw(`data: ${"[".repeat(5_000_000)}`)
        .end(),
  ],
];
const JSON_TYPE = { "content-type": "application/json" };

test("what is nested too deeply fails the task that it is for", async () => {
  const tasks = await outcomes(DEPTHS);
  for (const [what] of DEPTHS) {
    const { status, error } = tasks.get(what);
    expect([what, status, error?.code, error?.message]).toEqual([
      what,
      "failed",
      -32603,
      expect.stringMatching(TOO_DEEP),
    ]);
  }
});

test.each(["legacy", "modern"])("what is nested as deep as may be comes through: %s", async (era) => {
  const text: Script = (call) =>
    void call.response
      .writeHead(200, JSON_TYPE)
      .end(
        answerText(call.message.id, nested(126)).replace('"content"', '"resultType":"complete","content"'),
      );
  const { user } = await (era === "legacy" ? story : modernStory)({ "tools/call": text }, AS_TASK);
  expect(await outcome(user)).toMatchObject({ status: "completed", result: { x: JSON.parse(nested(126)) } });
});

test("a modern server's answer that is nested too deeply fails the task, too", async () => {
  const { user } = await modernStory(
    {
      "tools/call": (call) =>
        call
          .sse()
          .raw(`data: ${answerText(call.message.id, nested(200))}\n\n`)
          .end(),
    },
    AS_TASK,
  );
  expect((await outcome(user)).error.message).toMatch(TOO_DEEP);
});

test("a message of more values than anybody can use is not read", async () => {
  const many = `[${"{},".repeat(3_000_000)}{}]`;
  const { user } = await story(
    {
      "tools/call": besides(
        (call) => void call.response.writeHead(200, JSON_TYPE).end(answerText(call.message.id, many)),
      ),
    },
    AS_TASK,
  );
  expect((await outcome(user)).error.message).toBe("The server's answer has more than 2000000 values");
  await expectServed(user);
});

const ANSWERS: [string, (id: unknown) => unknown, object][] = [
  [
    "a result and an error",
    (id) => ({ id, result: {}, error: { code: 1, message: "no" } }),
    { status: "failed" },
  ],
  ["neither", (id) => ({ id }), { status: "failed" }],
  ["a result that is a list", (id) => ({ id, result: [] }), { status: "failed" }],
  ["an error that is a text", (id) => ({ id, error: "no" }), { status: "failed" }],
  [
    "an error with a code that is none",
    (id) => ({ id, error: { code: 1.5, message: "" } }),
    { status: "failed" },
  ],
  ["the id as a text", (id) => ({ id: String(id), result: {} }), { status: "completed" }],
  ["the id of a request that never was", () => ({ id: 4711, result: {} }), { status: "failed" }],
  ["the id __proto__", () => ({ id: "__proto__", result: {} }), { status: "failed" }],
  [
    "a key __proto__",
    (id) => JSON.parse(`{"id":${id},"result":{"__proto__":{"isError":true},"a":1}}`),
    { status: "completed", result: { a: 1 } },
  ],
];

test.each(["JSON", "an event"])("an answer that is none ends its task cleanly, as %s", async (form) => {
  const evils = ANSWERS.map(([what, answer]): [string, Script] => [
    what,
    (call) => {
      const message = { jsonrpc: "2.0", ...(answer(call.message.id) as object) };
      if (form === "JSON") call.reply(200, message);
      else call.sse().event(message).end();
    },
  ]);
  const tasks = await outcomes(evils);
  for (const [what, , expected] of ANSWERS) expect([what, tasks.get(what)]).toMatchObject([what, expected]);
});

test("the first answer stands, whatever comes behind it", async () => {
  const { user } = await story(
    {
      "tools/call": (call) => {
        const stream = call.sse().event(progress(tokenOf(call), { progress: 1 }));
        for (const text of ["first", "second", "third"]) stream.event(call.answer(textResult(text)));
        stream.event({ jsonrpc: "2.0", id: call.message.id, error: { code: 1, message: "no" } }).end();
      },
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  await user.settled(taskId);
  for (const _ of [1, 2, 3])
    expect((await user.task(taskId)).result).toMatchObject({ content: [{ text: "first" }] });
});

const TYPES: [string, object][] = [
  ["a question", { resultType: "input_required", inputRequests: { a: elicits("Your password?") } }],
  ["a task", { resultType: "task", taskId: "somebody-elses", status: "working" }],
  ["something", { resultType: "x" }],
];

test.each(TYPES)("a legacy server's result is complete, though it calls itself %s", async (_, result) => {
  const evil: Script = (call) => call.json({ content: [], tools: [], contents: [], messages: [], ...result });
  const methods = ["tools/call", "prompts/get", "resources/read", "tools/list", "prompts/list"];
  const { client } = await story(Object.fromEntries(methods.map((method) => [method, evil])), {
    policy: { mode: "auto", waitForMs: 60_000 },
  });
  // Nothing that could be asked is declared.
  const user = client();
  for (const method of methods) {
    const told = await user.result(method, method === "resources/read" ? { uri: "evil:" } : { name: "evil" });
    expect([method, told.resultType]).toEqual([method, "complete"]);
  }
});

test("a modern server that makes tasks nobody knows is refused", async () => {
  const { user } = await modernStory(
    {
      "tools/call": (call) =>
        call.json(complete({ resultType: "task", taskId: "its-own", status: "working" })),
    },
    AS_TASK,
  );
  const task = await outcome(user);
  expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
  expect(task.error.message).toMatch(/answered with a task of its own/);
});

const PROGRESS: [string, object][] = [
  ["backwards", { progress: -5 }],
  ["a text", { progress: "99" }],
  ["beyond numbers", JSON.parse('{"progress":1e999}')],
  ["nothing", {}],
];

test("progress that makes no sense, and that of others, changes nothing but the message", async () => {
  const end = gate();
  const { user } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        for (const [, params] of PROGRESS) stream.event(progress(tokenOf(call), params as never));
        for (const token of ["1", 999, "__proto__", null, {}, [tokenOf(call)]])
          stream.event(progress(token, { progress: 1, message: "not mine" }));
        stream.event(progress(tokenOf(call), { progress: 7, total: 9, message: "m".repeat(100_000) }));
        await end.opened;
        stream.event(call.answer(textResult("done"))).end();
      },
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  const task = await user.taskWhen(taskId, ({ statusMessage }) => statusMessage?.endsWith("(7 of 9)"));
  expect(task.statusMessage).toHaveLength(1_009);
  end.open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
});

test("what is cancelled that was never asked, and our own requests, cancels nothing", async () => {
  const asked = gate();
  const { user } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        for (const requestId of [call.message.id, 0, 77, "__proto__", null, undefined, {}])
          stream.notify("notifications/cancelled", { requestId });
        for (const method of [
          "notifications/tasks/status",
          "notifications/elicitation/complete",
          "notifications/tasks",
        ])
          stream.notify(method, { taskId: "x", elicitationId: "y", status: "completed" });
        const told = stream.ask("elicitation/create", form("Still?", "still"), 1);
        // The same question under the same number, in another type, is another one.
        void stream.ask("elicitation/create", form("Also?", "still"), "1");
        stream.notify("notifications/cancelled", { requestId: "1" });
        asked.open();
        await told;
        stream.event(call.answer(textResult("done"))).end();
      },
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  await asked.opened;
  const { inputRequests } = await user.taskWhen(taskId, (task) => task.inputRequests?.still !== undefined);
  expect(Object.keys(inputRequests)).toEqual(["still"]);
  await user.result("tasks/update", { taskId, inputResponses: { still: accept() } });
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
});

test("a question under the key __proto__ is asked, answered and forgotten like any other", async () => {
  const { user } = await modernStory(
    {
      "tools/call": (call) => {
        const responses = call.message.params?.inputResponses as object | undefined;
        if (responses === undefined)
          call.json(complete(wants(JSON.parse(`{"__proto__":${JSON.stringify(elicits("Who?"))}}`), "s")));
        else call.json(said(Object.keys(responses).join()));
      },
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(Object.keys(inputRequests)).toEqual(["__proto__"]);
  await user.result("tasks/update", {
    taskId,
    inputResponses: JSON.parse('{"__proto__":{"action":"decline"}}'),
  });
  expect(await user.settled(taskId)).toMatchObject({
    status: "completed",
    result: { content: [{ text: "__proto__" }] },
  });
});

test("an error as large as a result may not be is not kept", async () => {
  const { user } = await story(
    { "tools/call": (call) => call.error(-32000, "x".repeat(150_000)) },
    { policy: { mode: "always", maxResultBytes: 100_000 } },
  );
  expect((await outcome(user)).error.message).toMatch(
    /^The result has 150\d\d\d bytes, more than the 100000/,
  );
});

test.each([
  ["elicitation/create", form("Who?")],
  ["elicitation/create", { mode: "url", url: "http://127.0.0.1/", message: "Go" }],
  ["sampling/createMessage", { messages: [], maxTokens: 1 }],
  ["roots/list", undefined],
])(
  "what a client never offered to answer fails its call, and it is not asked: %s",
  async (method, params) => {
    const told = gate<unknown>();
    const { client } = await story(
      { "tools/call": async (call) => told.open(await call.sse().ask(method, params)) },
      AS_TASK,
    );
    const task = await outcome(client());
    expect(task).toMatchObject({ status: "failed", error: { code: -32021 } });
    expect(await told.opened).toMatchObject({ error: { code: -32601 } });
  },
);

test("a task of a modern server fails when its client cannot be asked what the server wants to know", async () => {
  const { client } = await modernStory(
    { "tools/call": (call) => call.json(complete(wants({ a: elicits("Who?") }, "s"))) },
    AS_TASK,
  );
  const { taskId } = await client({ capabilities: { extensions: EVERYTHING.extensions } }).callTool("evil");
  expect(await client().settled(taskId)).toMatchObject({ status: "failed", error: { code: -32021 } });
});

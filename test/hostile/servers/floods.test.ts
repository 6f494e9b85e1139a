import { expect, test } from "vitest";
import { complete, elicits, modernStory, wants } from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { count, form, gate, story, textResult } from "../../support/story.ts";
import { AS_TASK, besides, expectServed, flood, outcome, progress, tokenOf } from "./hostile.ts";

const MB = 1_048_576;
/** So that an answer may have a megabyte and a bit. */
const SMALL = { policy: { ...AS_TASK.policy, maxResultBytes: 500_000 } } as const;
const MAX_MESSAGE = 1_065_536;
const X = Buffer.alloc(65_536, "x");

const ENDLESS: [string, Script][] = [
  ["an event", (call) => endless(call, "data: x\n")],
  ["a line", (call) => endless(call, "data: x")],
  ["comments", (call) => endless(call, ": x\n")],
  ["names of fields", (call) => endless(call, "y\r\n")],
];

let written = 0;

function endless(call: Parameters<Script>[0], begin: string): void {
  call.sse().raw(begin);
  void flood(call, () => X, 1_000).then((chunks) => {
    written = chunks * X.length;
  });
}

test.each(ENDLESS)("a stream of %s without end fails its task, and is not read on", async (_, evil) => {
  written = 0;
  const { user, server } = await story({ "tools/call": besides(evil) }, SMALL);
  expect((await outcome(user)).error.message).toBe(`The server's answer is larger than ${MAX_MESSAGE} bytes`);
  await server.until(() => written > 0, "the flood to stop");
  // What fits into the buffers of two sockets was written as well.
  expect(written).toBeLessThan(32 * MB);
  await expectServed(user);
});

test("a JSON body without end is not read on", async () => {
  let chunks = 0;
  const { user, server } = await story(
    {
      "tools/call": besides((call) => {
        call.response.writeHead(200, { "content-type": "application/json" });
        void flood(call, () => X, 1_000).then((all) => {
          chunks = all;
        });
      }),
    },
    SMALL,
  );
  expect((await outcome(user)).error.message).toMatch(/larger than/);
  await server.until(() => chunks > 0, "the flood to stop");
  expect(chunks * X.length).toBeLessThan(32 * MB);
  await expectServed(user);
});

test("headers without end, and more of them than anybody reads, end the call", async () => {
  const { user } = await story(
    {
      "tools/call": besides(({ request: { socket } }) => {
        socket.write("HTTP/1.1 200 OK\r\n");
        for (let n = 0; n < 2_000; n += 1) socket.write(`x-${n}: ${"y".repeat(100)}\r\n`);
      }),
    },
    AS_TASK,
  );
  expect((await outcome(user)).error.message).toMatch(/Headers Overflow/i);
  await expectServed(user);
});

test("a body that drips, and hints without end, last as long as a call may run and no longer", async () => {
  const policy = { ...AS_TASK.policy, maxRuntimeMs: 400 };
  const { user, server } = await story(
    {
      "tools/call": (call) => {
        const { socket } = call.request;
        if (call.message.params?.name === "drips")
          call.response.writeHead(200, { "content-type": "application/json" });
        const drip = setInterval(() => {
          if (call.response.headersSent) call.response.write(" ");
          else socket.write("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n");
        }, 10);
        void call.closed.then(() => clearInterval(drip));
      },
    },
    { policy },
  );
  const tasks = await Promise.all(["drips", "hints"].map((name) => outcome(user, name)));
  for (const { error } of tasks) expect(error.message).toMatch(/longer than maxRuntime/);
  for (const nth of [1, 2]) await (await server.arrival("tools/call", nth)).closed;
});

test("ten thousand notifications of one call cost the store a handful of writes", async () => {
  const all = gate();
  const ended = gate();
  const { user, server } = await story(
    {
      "tools/call": besides(async (call) => {
        call.sse();
        const token = tokenOf(call);
        const events = (n: number) =>
          Array.from({ length: 100 }, (_, at) => {
            const log = {
              jsonrpc: "2.0",
              method: "notifications/message",
              params: { level: "error", data: "x" },
            };
            const message = at % 2 === 0 ? log : progress(token, { progress: n * 100 + at });
            return `id: ${n}-${at}\ndata: ${JSON.stringify(message)}\n\n`;
          }).join("");
        await flood(call, events, 100);
        all.open();
        await ended.opened;
        call.response.end(`data: ${JSON.stringify(call.answer(textResult("done")))}\n\n`);
      }),
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  const seen = new Set<string>();
  await expectServed(user);
  let isOver = false;
  void all.opened.then(() => {
    isOver = true;
  });
  while (!isOver) seen.add((await user.task(taskId)).lastUpdatedAt);
  ended.open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  // Every write has a time of its own.
  expect(seen.size).toBeLessThan(40);
  expect(count(server, "tools/call")).toBe(2);
});

test.each(["data:{}\n\n", ":\n\n"])(
  "others are served while a server says nothing as fast as it can: %j",
  async (event) => {
    const chunk = event.repeat(65_536 / event.length);
    const { user, server } = await story(
      {
        "tools/call": besides((call) => {
          call.sse();
          void flood(call, () => chunk, 1e9);
        }),
      },
      AS_TASK,
    );
    const { taskId } = await user.callTool("evil");
    const { closed } = await server.arrival("tools/call");
    await expectServed(user);
    await user.result("tasks/cancel", { taskId });
    expect(await user.settled(taskId)).toMatchObject({ status: "cancelled" });
    await closed;
  },
);

test("log messages that nobody reads are not kept for them", async () => {
  const all = gate();
  const params = { level: "error", data: "x".repeat(10_000) };
  const log = `data: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params })}\n\n`;
  const { client } = await story(
    {
      "tools/call": async (call) => {
        call.sse();
        await flood(call, () => log, 3_000);
        all.open();
        call.response.end(`data: ${JSON.stringify(call.answer(textResult("done")))}\n\n`);
      },
    },
    { policy: { mode: "never" } },
  );
  const meta = { "io.modelcontextprotocol/logLevel": "debug" };
  const { body } = await client().open("tools/call", { name: "evil" }, { meta });
  await all.opened;
  const text = await body.text();
  expect(text).toContain('"done"');
  // What fits into the buffers of two sockets comes through.
  expect(text.length).toBeLessThan(15_000_000);
});

test("a server that pings without end is not answered without end", async () => {
  let open = 0;
  let most = 0;
  const ended = gate();
  const { user, server } = await story(
    {
      "tools/call": besides(async (call) => {
        const stream = call.sse();
        await flood(
          call,
          (n) => `data: ${JSON.stringify({ jsonrpc: "2.0", id: `ping-${n}`, method: "ping" })}\n\n`,
          5_000,
        );
        await ended.opened;
        stream.event(call.answer(textResult("done"))).end();
      }),
      // It takes the answers, and never says so.
      answer: (call) => {
        open += 1;
        most = Math.max(most, open);
        void call.closed.then(() => {
          open -= 1;
        });
      },
    },
    AS_TASK,
  );
  const { taskId } = await user.callTool("evil");
  await server.arrival("answer", 256);
  await expectServed(user);
  ended.open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  expect(most).toBe(256);
});

const ASKING: [string, Script, RegExp][] = [
  [
    "a thousand questions",
    (call) => {
      const stream = call.sse();
      for (let n = 0; n < 1_000; n += 1) void stream.ask("elicitation/create", form(`${n}?`));
    },
    /^The server asked more than 100 questions at once$/,
  ],
  [
    "one question after the other, and takes each back",
    (call) => {
      const stream = call.sse();
      for (let id = 0; id < 2_000; id += 1) {
        void stream.ask("elicitation/create", form(`${id}?`), id);
        stream.notify("notifications/cancelled", { requestId: id });
      }
    },
    /^The server asked more than 1000 questions in one call$/,
  ],
  [
    "a question of ten megabytes",
    (call) => void call.sse().ask("elicitation/create", form("x".repeat(10 * MB))),
    /^The server asked questions of more than 8388608 characters$/,
  ],
  [
    "the visit of a thousand pages",
    (call) =>
      call.error(-32042, "Visit", {
        data: {
          elicitations: Array.from({ length: 1_000 }, () => ({
            mode: "url",
            url: "http://127.0.0.1/",
            elicitationId: "x",
            message: "m",
          })),
        },
      }),
    /^The server asked more than 100 questions at once$/,
  ],
];

test.each(ASKING)("a server that asks %s loses its call", async (_, evil, message) => {
  const { user } = await story({ "tools/call": besides(evil) }, AS_TASK);
  const task = await outcome(user);
  expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
  expect(task.error.message).toMatch(message);
  await expectServed(user);
});

const ROUNDS: [string, (n: number) => object, RegExp][] = [
  [
    "ten thousand questions",
    () => wants(Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, elicits("?")])), "s"),
    /it asked 10000 things at once, 100 at most can be/,
  ],
  [
    "a state of ten megabytes",
    () => wants(undefined, "s".repeat(10 * MB)),
    /requestState is no text of 1048576/,
  ],
  ["a state that is no text", () => ({ ...wants({}), requestState: { a: 1 } }), /requestState is no text/],
  ["nothing at all", () => wants({}), /neither asked anything nor gave a requestState/],
];

test.each(ROUNDS)("a modern server that wants %s loses its call", async (_, result, message) => {
  const { user } = await modernStory(
    { "tools/call": (call) => call.json(complete(result(0) as never)) },
    AS_TASK,
  );
  expect((await outcome(user)).error.message).toMatch(message);
});

test("a modern server that asks round after round is asked again until its time is over", async () => {
  const { user, server } = await modernStory(
    { "tools/call": (call) => call.json(complete(wants(undefined, "again"))) },
    { policy: { ...AS_TASK.policy, maxRuntimeMs: 400 } },
  );
  expect((await outcome(user)).error.message).toMatch(/longer than maxRuntime/);
  expect(count(server, "tools/call")).toBeLessThan(10);
});

test("a stream that goes on after its answer is let go, and what it says is nobody's", async () => {
  let isCut = false;
  const { user, server } = await story(
    {
      "tools/call": besides((call) => {
        call.sse().event(call.answer(textResult("done")));
        void flood(call, () => `data: ${JSON.stringify(call.answer(textResult("again")))}\n\n`, 1e9).then(
          () => {
            isCut = true;
          },
        );
      }),
    },
    AS_TASK,
  );
  expect(await outcome(user)).toMatchObject({ status: "completed", result: { content: [{ text: "done" }] } });
  await server.until(() => isCut, "the stream to be cut");
  await expectServed(user);
});

test("a server that wants to be asked again after a thousand years is asked again", async () => {
  const { user, server } = await story(
    {
      "tools/call": (call) => call.sse().raw("retry: 99999999999999\nid: 1\ndata:\n\n").end(),
      GET: (call) => {
        if (call.headers["last-event-id"] === undefined) call.sse();
        else call.sse().raw("retry: 99999999999999\nid: 2\ndata:\n\n").end();
      },
    },
    { policy: { ...AS_TASK.policy, maxRuntimeMs: 400 } },
  );
  expect((await outcome(user)).error.message).toMatch(/longer than maxRuntime/);
  // And not at once, as a timer that overflows would.
  expect(count(server, "GET")).toBeLessThan(5);
});

import { expect, test } from "vitest";
import type { Exchange } from "../support/scripted-exchange.ts";
import type { Script } from "../support/scripted-server.ts";
import { accept, count, form, gate, story, textOf, textResult } from "../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;

/** A GET that resumes a stream goes to `resume`, one that just listens is served as always. */
function resumable(resume: (get: Exchange, nth: number) => void): Script {
  let resumed = 0;
  return (get) => {
    if (get.headers["last-event-id"] === undefined) {
      get.session.stream = get.sse();
      return;
    }
    resumed += 1;
    resume(get, resumed);
  };
}

function lastEventIds(received: readonly Exchange[]): unknown[] {
  return received.flatMap(({ headers }) => headers["last-event-id"] ?? []);
}

test("a stream that was cut is resumed after its last event, and delivers the result", async () => {
  let call: Exchange | undefined;
  const { user, server } = await story(
    {
      "tools/call": (exchange) => {
        call = exchange;
        exchange.sse().event("", { id: "a", retry: 1 }).event("", { id: "b" }).cut();
      },
      GET: resumable((get) =>
        get
          .sse()
          .event(call?.answer(textResult("resumed")))
          .end(),
      ),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  expect(textOf((await user.settled(taskId)).result)).toBe("resumed");
  expect(lastEventIds(server.received)).toEqual(["b"]);
  expect(count(server, "tools/call")).toBe(1);
});

test("a server that ends the stream on purpose is asked again, from the same event when nothing came", async () => {
  let call: Exchange | undefined;
  const { user, server } = await story(
    {
      "tools/call": (exchange) => {
        call = exchange;
        exchange.sse().event("", { id: "a", retry: 1 }).end();
      },
      GET: resumable((get, nth) => {
        if (nth === 1) return get.reply(503, {});
        if (nth === 2) return get.error(-32000, "Conflict", { status: 409 });
        if (nth === 3) return get.sse().end();
        get
          .sse()
          .event(call?.answer(textResult("at last")))
          .end();
      }),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  expect(textOf((await user.settled(taskId)).result)).toBe("at last");
  expect(lastEventIds(server.received)).toEqual(["a", "a", "a", "a"]);
  expect(count(server, "tools/call")).toBe(1);
});

test("a question on a resumed stream reaches the client", async () => {
  let call: Exchange | undefined;
  const { user } = await story(
    {
      "tools/call": (exchange) => {
        call = exchange;
        exchange.sse().event("", { id: "a", retry: 1 }).cut();
      },
      GET: resumable(async (get) => {
        const stream = get.sse();
        await stream.ask("elicitation/create", form("Still there?", "there"), 0);
        stream.event(call?.answer(textResult("yes"))).end();
      }),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  await user.result("tasks/update", { taskId, inputResponses: { there: accept() } });
  expect(textOf((await user.settled(taskId)).result)).toBe("yes");
});

test("a stream that was cut without event ids is lost, and the task says so", async () => {
  const { user, server } = await story({ "tools/call": (call) => call.sse().raw(": hi\n\n").cut() }, ALWAYS);
  const { taskId } = await user.callTool("t");
  const { status, error } = await user.settled(taskId);
  expect(status).toBe("failed");
  expect(error).toEqual({ code: -32603, message: "The server closed the stream without an answer" });
  expect(count(server, "tools/call")).toBe(1);
});

test.each([400, 404, 405])("a server that refuses to resume with %i has lost the answer", async (status) => {
  const { user, server } = await story(
    {
      "tools/call": (call) => call.sse().event("", { id: "a", retry: 1 }).cut(),
      GET: resumable((get) => get.reply(status, "no")),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  const task = await user.settled(taskId);
  expect(task.status).toBe("failed");
  expect(task.error.message).toMatch(/could not be resumed|closed the stream without an answer/);
  expect(lastEventIds(server.received)).toEqual(["a"]);
  expect(count(server, "tools/call")).toBe(1);
});

test("a server that stays away is given up after ten tries, and the task says why", async () => {
  const { user, server } = await story(
    {
      "tools/call": (call) => {
        const stream = call.sse().event("", { id: "a", retry: 1 });
        void stream.ask("elicitation/create", form("Still there?", "there"));
        stream.cut();
      },
      GET: resumable((get) => get.reply(503, "no")),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  const { status, error } = await user.settled(taskId);
  expect(status).toBe("failed");
  expect(error.message).toMatch(/^The stream with the answer was cut and could not be resumed: .*HTTP 503/);
  expect(lastEventIds(server.received)).toHaveLength(10);
  expect(count(server, "tools/call")).toBe(1);
});

test.each<[string, Script]>([
  ["the connection breaks", (answer) => answer.cut()],
  ["a proxy says that the server is not there", (answer) => answer.reply(503, "no")],
])("an answer that does not reach the server because %s is sent again", async (_, lose) => {
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        void stream.ask("elicitation/create", form("Who are you?", "name"));
        const { message } = await server.arrival("answer", 2);
        stream.event(call.answer(textResult(JSON.stringify(message.result)))).end();
      },
      answer: (answer) => (count(server, "answer") === 1 ? lose(answer) : answer.accept()),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  await user.result("tasks/update", { taskId, inputResponses: { name: accept({ name: "Ada" }) } });
  expect(JSON.parse(textOf((await user.settled(taskId)).result) ?? "")).toEqual(accept({ name: "Ada" }));
  expect(count(server, "answer")).toBe(2);
});

test("an answer that the server refuses is sent once", async () => {
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        void stream.ask("elicitation/create", form("Who are you?", "name"));
        await (await server.arrival("answer")).closed;
        stream.event(call.answer(textResult("never mind"))).end();
      },
      answer: (answer) => answer.reply(400, "no"),
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  await user.result("tasks/update", { taskId, inputResponses: { name: accept({ name: "Ada" }) } });
  expect(textOf((await user.settled(taskId)).result)).toBe("never mind");
  expect(count(server, "answer")).toBe(1);
});

test("a result that comes on the GET stream, after a mere 202, is a result", async () => {
  const { user, server } = await story({
    "tools/call": async (call) => {
      call.accept();
      (await server.stream(call.session)).event(call.answer(textResult("there it is")));
    },
  });
  expect(textOf(await user.callTool("t"))).toBe("there it is");
});

test("a request that is acknowledged and never answered ends at maxRuntime", async () => {
  const { user, server } = await story(
    { "tools/call": (call) => call.accept() },
    { policy: { mode: "always", maxRuntimeMs: 1_500 } },
  );
  const { taskId } = await user.callTool("t");
  const { status, error } = await user.settled(taskId);
  expect(status).toBe("failed");
  expect(error.message).toBe("The call ran longer than maxRuntime (1500 ms) and was cancelled");
  const { message } = await server.arrival("tools/call");
  expect((await server.arrival("notifications/cancelled")).message.params?.requestId).toBe(message.id);
});

test("a GET stream that ends is opened again, and a conflict on the way is no loss", async () => {
  let streams = 0;
  const reopened = gate();
  const { user, server } = await story(
    {
      GET: (get) => {
        streams += 1;
        if (streams === 4) return get.error(-32000, "Conflict", { status: 409 });
        get.session.stream = get.sse();
        if (streams === 5) reopened.open();
      },
      "tools/call": async (call) => {
        if (call.message.params?.name === "first") {
          (await server.stream(call.session)).end();
          await reopened.opened;
        }
        const stream = await server.stream(call.session);
        const response = await stream.ask("elicitation/create", form("?", "key"), 0);
        call.json(textResult(JSON.stringify(response)));
      },
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("first");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  await user.result("tasks/update", { taskId, inputResponses: { key: accept() } });
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  // The session is still the one it was, also for the next call.
  await user.callTool("second");
  const first = await server.arrival("tools/call", 1);
  expect((await server.arrival("tools/call", 2)).session).toBe(first.session);
});

test("events that arrive in pieces and with foreign line ends are read", async () => {
  const { user } = await story({
    "tools/call": async (call) => {
      const stream = call.sse();
      const event = `event: message\r\nid: 1\r\ndata: ${JSON.stringify(call.answer(textResult("grüße 🚀")))}\r\n\r\n`;
      for (const byte of Buffer.from(event)) {
        stream.raw(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
      stream.end();
    },
  });
  expect(textOf(await user.callTool("t"))).toBe("grüße 🚀");
});

test("a server that does not answer the end of a session does not keep the gateway from closing", async () => {
  const { user, server, gateway } = await story({
    "tools/call": (call) => call.text("done"),
    DELETE: () => undefined,
  });
  await user.callTool("t");
  const began = performance.now();
  await gateway.close();
  expect(performance.now() - began).toBeLessThan(4_000);
  expect(count(server, "DELETE")).toBeGreaterThan(0);
});

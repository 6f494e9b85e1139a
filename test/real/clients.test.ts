import {
  Client,
  type ClientCapabilities,
  type Progress,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { describe, expect, onTestFinished, test } from "vitest";
import { type GatewaySettings, gatewayFor } from "../support/gateway.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { type LegacyTasksServerOptions, startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { wiretap } from "./wiretap.ts";

const TASKS = "io.modelcontextprotocol/tasks";
const SERVER_INFO = "io.modelcontextprotocol/serverInfo";

describe("the official client without tasks", () => {
  test("negotiates 2026-07-28 by itself, and is told of the server behind the gateway", async () => {
    const { client, tap } = await inFrontOfTools();

    expect(client.getProtocolEra()).toBe("modern");
    expect(client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
    expect(client.getServerVersion()).toEqual({ name: "legacy-tasks", version: "1.0.0" });
    expect(tap.all.map(({ sent }) => sent.method)).toEqual(["server/discover"]);
    expect(tap.at("server/discover").result).toMatchObject({
      resultType: "complete",
      supportedVersions: ["2026-07-28"],
      capabilities: { tools: {}, extensions: { [TASKS]: {} } },
    });
  });

  test("gets plain results, however long they take", async () => {
    const { client, tap } = await inFrontOfTools();

    expect(await client.callTool({ name: "greet", arguments: { name: "Ada" } })).toMatchObject(
      says("Hello, Ada!"),
    );
    const slow = { name: "slow_compute", arguments: { seconds: 1, label: "It" } };
    expect(await client.callTool(slow)).toMatchObject(says("It took 1 s"));
    expect(await client.callTool({ name: "failing_job", arguments: {} })).toMatchObject({ isError: true });
    for (const { result } of tap.of("tools/call")) {
      expect(result).toMatchObject({
        resultType: "complete",
        _meta: { [SERVER_INFO]: { name: "legacy-tasks" } },
      });
    }
    expect(tap.of("tools/call")).toHaveLength(3);
  });

  test("gets the error that the server answers", async () => {
    const { client } = await inFrontOfTools();

    await expect(client.callTool({ name: "protocol_error_job", arguments: {} })).rejects.toMatchObject({
      code: -32603,
      message: expect.stringContaining("The job has broken down"),
    });
  });

  test("is refused a tool that only runs as a task, and the server is not called", async () => {
    const { client, server } = await inFrontOfTools({ tools: [{ match: "greet", mode: "required" }] });

    await expect(client.callTool({ name: "greet", arguments: { name: "Ada" } })).rejects.toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { extensions: { [TASKS]: {} } } },
    });
    expect(server.calls).toEqual([]);
  });

  test.each(["call", "session"] as const)(
    "answers a question that the server asks on the stream of the %s",
    async (asksOn) => {
      const { client, tap } = await inFrontOfTools({}, { elicitation: { form: {} } }, { asksOn });
      const asked: unknown[] = [];
      client.setRequestHandler("elicitation/create", (request) => {
        asked.push(request.params);
        return { action: "accept", content: { confirm: true } };
      });

      const result = await client.callTool({ name: "confirm_delete", arguments: { filename: "a.txt" } });

      expect(result).toMatchObject(says("Deleted a.txt"));
      expect(asked).toMatchObject([{ mode: "form", message: "Really delete a.txt?" }]);
      const { resultType, inputRequests, requestState } = tap.at("tools/call").result;
      expect(resultType).toBe("input_required");
      const [key = ""] = Object.keys(inputRequests);
      expect(inputRequests[key].method).toBe("elicitation/create");
      expect(tap.at("tools/call", 1).sent.params).toMatchObject({
        requestState,
        inputResponses: { [key]: { action: "accept", content: { confirm: true } } },
      });
      expect(tap.of("tools/call")).toHaveLength(2);
    },
  );

  test("answers two questions in one round", async () => {
    const { client, tap } = await inFrontOfTools({}, { elicitation: { form: {} } });
    client.setRequestHandler("elicitation/create", ({ params }) => ({
      action: "accept",
      content: { name: params.message.includes("first") ? "Ada" : "Grace" },
    }));

    expect(await client.callTool({ name: "multi_input", arguments: {} })).toMatchObject(
      says("Ada and Grace"),
    );
    expect(tap.of("tools/call")).toHaveLength(2);
  });

  test("hears of progress while it waits", async () => {
    const { client, tap } = await inFrontOfEverything();
    const heard: Progress[] = [];

    const result = await client.callTool(
      { name: "test_tool_with_progress", arguments: {} },
      { onprogress: (progress) => void heard.push(progress) },
    );

    expect(result.isError).toBeUndefined();
    expect(heard.map(({ progress }) => progress)).toEqual([0, 50, 100]);
    const { sent, got, isStream } = tap.at("tools/call");
    expect(isStream).toBe(true);
    // The client's own token, and not the one that the gateway made for the server.
    expect(got.slice(0, -1).map(({ params }) => params.progressToken)).toEqual(
      Array(3).fill(sent.params._meta.progressToken),
    );
  });

  test("lists, reads, gets and completes what the server has", async () => {
    const { client, tap } = await inFrontOfEverything();

    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("test_simple_text");
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toContain("test://static-text");
    expect((await client.listResourceTemplates()).resourceTemplates).toMatchObject([
      { uriTemplate: "test://template/{id}/data" },
    ]);
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain("test_simple_prompt");
    expect(await client.readResource({ uri: "test://static-text" })).toMatchObject({
      contents: [{ text: "This is the content of the static text resource." }],
    });
    expect(await client.getPrompt({ name: "test_simple_prompt" })).toMatchObject({
      messages: [{ content: { text: "This is a simple prompt for testing." } }],
    });
    const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" } as const;
    const { completion } = await client.complete({ ref, argument: { name: "arg1", value: "par" } });
    expect(completion.values).toContain("paris");
    for (const method of ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]) {
      expect(tap.at(method).result).toMatchObject({
        resultType: "complete",
        ttlMs: 0,
        cacheScope: "private",
      });
    }
  });
});

test("the official client that declares tasks gets a handle for what takes long, and nothing else is a task", async () => {
  const { client, tap } = await inFrontOfTools(
    { policy: { waitForMs: 500 } },
    { extensions: { [TASKS]: {} } },
  );

  expect(await client.callTool({ name: "greet", arguments: { name: "Ada" } })).toMatchObject(
    says("Hello, Ada!"),
  );
  // It knows the word and refuses it: tasks are for the session of ext-tasks on top of it.
  await expect(
    client.callTool({ name: "slow_compute", arguments: { seconds: 1, label: "It" } }),
  ).rejects.toMatchObject({ code: "UNSUPPORTED_RESULT_TYPE", data: { resultType: "task" } });
  expect(Object.keys(tap.at("tools/call", 1).result).sort()).toEqual([
    "_meta",
    "createdAt",
    "lastUpdatedAt",
    "pollIntervalMs",
    "resultType",
    "status",
    "statusMessage",
    "taskId",
    "ttlMs",
  ]);
});

async function inFrontOfTools(
  settings: Omit<GatewaySettings, "upstream"> = {},
  capabilities: ClientCapabilities = {},
  options: LegacyTasksServerOptions = {},
) {
  const server = await startLegacyTasksServer(options);
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url, ...settings });
  return { server, ...(await connect(gateway.url, capabilities)) };
}

async function inFrontOfEverything() {
  const server = await startLegacyEverythingServer();
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url });
  return connect(gateway.url, {});
}

async function connect(url: URL, capabilities: ClientCapabilities) {
  const tap = await wiretap(url);
  const client = new Client(
    { name: "test", version: "1" },
    { capabilities, versionNegotiation: { mode: "auto" } },
  );
  await client.connect(new StreamableHTTPClientTransport(tap.url));
  onTestFinished(() => client.close());
  return { client, tap };
}

function says(text: string) {
  return { content: [{ type: "text", text }] };
}

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  PromptListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test, vi } from "vitest";
import { startLegacyEverythingServer } from "./legacy-everything-server.ts";

test.each(["call", "session"] as const)(
  "what asks, asks on the stream of the %s, with the keys of the suite",
  async (asksOn) => {
    const { client, keys } = await connected(await served(asksOn));

    const call = async (name: string): Promise<unknown> =>
      (await client.callTool({ name: `test_input_required_result_${name}` })).content;
    const says = (text: string): unknown => [{ type: "text", text }];

    expect(await call("elicitation")).toEqual(says("Hello, Alice!"));
    expect(await call("sampling")).toEqual(says("Paris"));
    expect(await call("list_roots")).toEqual(says("Roots: file:///home"));
    expect(await call("multiple_inputs")).toEqual(says("Paris, Alice, at home in file:///home"));
    expect(await call("multi_round")).toEqual(says("Alice likes blue"));
    expect(await call("capabilities")).toEqual(says("3 answers"));
    await client.getPrompt({ name: "test_input_required_result_prompt" });
    expect(keys).toEqual(
      "user_name capital_question client_roots user_name greeting client_roots step1 step2 sampling user_name client_roots user_context".split(
        " ",
      ),
    );
  },
);

test("lists and resources can be changed, and everybody hears of it", async () => {
  const url = await served("session");
  const { client } = await connected(url);
  const { client: other } = await connected(url);
  const heard: string[] = [];
  const hear = ({ method }: { method: string }): void => void heard.push(method);
  other.setNotificationHandler(ToolListChangedNotificationSchema, hear);
  other.setNotificationHandler(PromptListChangedNotificationSchema, hear);
  other.setNotificationHandler(ResourceUpdatedNotificationSchema, hear);
  const tools = async (): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name);

  expect(await tools()).not.toContain("test_dynamic_tool");
  await client.callTool({ name: "test_trigger_tool_change" });
  await client.callTool({ name: "test_trigger_prompt_change" });
  expect(await tools()).toContain("test_dynamic_tool");
  const uri = "test://watched-resource";
  await client.callTool({ name: "test_touch_resource", arguments: { uri } });
  await other.subscribeResource({ uri });
  await client.callTool({ name: "test_touch_resource", arguments: { uri } });

  await vi.waitFor(() =>
    expect(heard).toEqual([
      "notifications/tools/list_changed",
      "notifications/prompts/list_changed",
      "notifications/resources/updated",
    ]),
  );
});

test("a resource that does not exist is an error of the legacy kind", async () => {
  const { client } = await connected(await served("session"));
  await expect(client.readResource({ uri: "test://nothing" })).rejects.toMatchObject({ code: -32002 });
});

async function served(asksOn: "call" | "session"): Promise<URL> {
  const server = await startLegacyEverythingServer({ asksOn });
  onTestFinished(server.close);
  return server.url;
}

/** Gives a client once the server can ask it on the session's GET stream, and the keys of what it was asked. */
async function connected(url: URL): Promise<{ client: Client; keys: unknown[] }> {
  const client = new Client(
    { name: "test", version: "1" },
    { capabilities: { elicitation: {}, sampling: {}, roots: {} } },
  );
  const keys: unknown[] = [];
  const note = ({ params }: { params?: { _meta?: Record<string, unknown> | undefined } | undefined }): void =>
    void keys.push(params?._meta?.["mcp-taskgate/key"]);
  client.setRequestHandler(ElicitRequestSchema, (request) => {
    note(request);
    return { action: "accept", content: { name: "Alice", color: "blue", context: "here", ok: true } };
  });
  client.setRequestHandler(CreateMessageRequestSchema, (request) => {
    note(request);
    return { model: "none", role: "assistant", content: { type: "text", text: "Paris" } };
  });
  client.setRequestHandler(ListRootsRequestSchema, (request) => {
    note(request);
    return { roots: [{ uri: "file:///home" }] };
  });
  const streamIsOpen = new Promise<void>((resolve, reject) => {
    const transport = new StreamableHTTPClientTransport(url, {
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (init?.method === "GET") resolve();
        return response;
      },
    });
    client.connect(transport as Transport).catch(reject);
  });
  await streamIsOpen;
  onTestFinished(() => client.close());
  return { client, keys };
}

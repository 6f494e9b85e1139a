/** The tools that the conformance suite expects of a server, by its names, as a server would have them that only knows how to wait. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import type { Asks, Extra, Properties } from "./everything-asks.ts";
import { PNG, WAV } from "./everything-content.ts";

export interface ToolContext {
  readonly asks: Asks;
  readonly extra: Extra;
  /** The server of the session that the call came on. */
  readonly server: Server;
  /** Says to every session that a list has changed, having changed it. */
  changeList(of: "tools" | "prompts"): Promise<void>;
  /** Says to every session that watches it that a resource has changed. */
  touch(uri: string): Promise<void>;
}

export interface Tool {
  readonly description: string;
  /** A JSON Schema of the arguments; no arguments unless given. */
  readonly inputSchema?: { readonly type: "object"; readonly [keyword: string]: unknown };
  run(
    given: Readonly<Record<string, unknown>>,
    context: ToolContext,
  ): Promise<CallToolResult> | CallToolResult;
}

const OK: Properties = { ok: { type: "boolean" } };
const NAME: Properties = { name: { type: "string" } };

export const TOOLS: ReadonlyMap<string, Tool> = new Map(
  Object.entries<Tool>({
    test_simple_text: {
      description: "Says one sentence",
      run: () => text("This is a simple text response for testing."),
    },
    test_image_content: {
      description: "Gives an image",
      run: () => ({ content: [{ type: "image", data: PNG, mimeType: "image/png" }] }),
    },
    test_audio_content: {
      description: "Gives a sound",
      run: () => ({ content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }] }),
    },
    test_embedded_resource: {
      description: "Gives a resource",
      run: () => ({
        content: [
          resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
        ],
      }),
    },
    test_multiple_content_types: {
      description: "Gives one of each",
      run: () => ({
        content: [
          { type: "text", text: "Multiple content types test:" },
          { type: "image", data: PNG, mimeType: "image/png" },
          resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ],
      }),
    },
    test_error_handling: {
      description: "Fails",
      run: () => ({ ...text("This tool intentionally returns an error for testing"), isError: true }),
    },
    test_tool_with_progress: {
      description: "Reports how far it is",
      run: async (_, { extra }) => {
        const progressToken = extra._meta?.progressToken;
        for (const progress of [0, 50, 100]) {
          if (progressToken !== undefined) {
            const params = { progressToken, progress, total: 100, message: `${progress} of 100` };
            await extra.sendNotification({ method: "notifications/progress", params });
          }
          if (progress < 100) await sleep(50);
        }
        return text("All the way");
      },
    },
    test_logging_tool: {
      description: "Writes to the log",
      run: async (_, { server }) => {
        for (const data of ["one", "two", "three"]) await server.sendLoggingMessage({ level: "info", data });
        return text("Three lines were logged");
      },
    },
    test_trigger_tool_change: {
      description: "Changes the list of tools",
      run: async (_, { changeList }) => {
        await changeList("tools");
        return text("The tools have changed");
      },
    },
    test_trigger_prompt_change: {
      description: "Changes the list of prompts",
      run: async (_, { changeList }) => {
        await changeList("prompts");
        return text("The prompts have changed");
      },
    },
    test_touch_resource: {
      description: "Changes a resource",
      inputSchema: { type: "object", properties: { uri: { type: "string" } }, required: ["uri"] },
      run: async ({ uri }, { touch }) => {
        await touch(String(uri));
        return text(`${uri} has changed`);
      },
    },
    test_missing_capability: {
      description: "Cannot do without sampling",
      run: async (_, { asks }) => text(await asks.sample("sampling", "Anything?", 10)),
    },
    test_streaming_elicitation: {
      description: "Asks in the middle of its work",
      run: async (_, { asks }) => text(`${(await asks.elicit("confirm", "Go on?", OK)).ok}`),
    },
    test_input_required_result_elicitation: {
      description: "Asks for a name",
      run: async (_, { asks }) => {
        const { name } = await asks.elicit("user_name", "What is your name?", NAME);
        return text(`Hello, ${name}!`);
      },
    },
    test_input_required_result_sampling: {
      description: "Asks the model",
      run: async (_, { asks }) =>
        text(await asks.sample("capital_question", "What is the capital of France?", 100)),
    },
    test_input_required_result_list_roots: {
      description: "Asks for the roots",
      run: async (_, { asks }) => text(`Roots: ${(await asks.roots("client_roots")).join(", ")}`),
    },
    test_input_required_result_request_state: {
      description: "Asks for a confirmation, and still knows what it was about",
      run: async (_, { asks }) => {
        const { ok } = await asks.elicit("confirm", "Please confirm", OK);
        return text(`state-ok, confirmed: ${ok}`);
      },
    },
    test_input_required_result_multiple_inputs: {
      description: "Asks three questions at once",
      run: async (_, { asks }) => {
        const [{ name }, greeting, roots] = await Promise.all([
          asks.elicit("user_name", "What is your name?", NAME),
          asks.sample("greeting", "Generate a greeting", 50),
          asks.roots("client_roots"),
        ]);
        return text(`${greeting}, ${name}, at home in ${roots.join(", ")}`);
      },
    },
    test_input_required_result_multi_round: {
      description: "Asks one question after the other",
      run: async (_, { asks }) => {
        const { name } = await asks.elicit("step1", "Step 1: What is your name?", NAME);
        const question = "Step 2: What is your favorite color?";
        const { color } = await asks.elicit("step2", question, { color: { type: "string" } });
        return text(`${name} likes ${color}`);
      },
    },
    test_input_required_result_tampered_state: {
      description: "Asks for a confirmation",
      run: async (_, { asks }) =>
        text(`Confirmed: ${(await asks.elicit("confirm", "Please confirm", OK)).ok}`),
    },
    test_input_required_result_capabilities: {
      description: "Asks whatever the client can answer",
      run: async (_, { asks }) => {
        const { sampling, elicitation, roots } = asks.capabilities;
        const answers = await Promise.all([
          ...(sampling ? [asks.sample("sampling", "Say something", 50)] : []),
          ...(elicitation ? [asks.elicit("user_name", "What is your name?", NAME)] : []),
          ...(roots ? [asks.roots("client_roots")] : []),
        ]);
        return text(`${answers.length} answers`);
      },
    },
    test_x_mcp_header: {
      description: "Has an argument that is mirrored in a header",
      inputSchema: {
        type: "object",
        properties: { region: { type: "string", "x-mcp-header": "Region" } },
        required: ["region"],
      },
      run: ({ region }) => text(`In ${region}`),
    },
    json_schema_2020_12_tool: {
      description: "Tool with JSON Schema 2020-12 features",
      inputSchema: {
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        $defs: {
          address: {
            $anchor: "addressDef",
            type: "object",
            properties: { street: { type: "string" }, city: { type: "string" } },
          },
        },
        properties: {
          name: { type: "string" },
          address: { $ref: "#/$defs/address" },
          contactMethod: { type: "string", enum: ["phone", "email"] },
          phone: { type: "string" },
          email: { type: "string" },
        },
        allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
        if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { required: ["phone"] },
        else: { required: ["email"] },
        additionalProperties: false,
      },
      run: () => text("Well formed"),
    },
  }),
);

const text = (said: string): CallToolResult => ({ content: [{ type: "text", text: said }] });

const resource = (uri: string, mimeType: string, said: string): CallToolResult["content"][number] => ({
  type: "resource",
  resource: { uri, mimeType, text: said },
});

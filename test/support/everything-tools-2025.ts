/** The tools that the conformance suite expects of a server of 2025-11-25 and of no later one, by its names. */

import { setTimeout as sleep } from "node:timers/promises";
import type { CallToolResult, ElicitResult } from "@modelcontextprotocol/sdk/types.js";
import type { Form } from "./everything-asks.ts";
import type { Tool } from "./everything-tools.ts";

export const TOOLS_2025: ReadonlyMap<string, Tool> = new Map(
  Object.entries<Tool>({
    test_tool_with_logging: {
      description: "Writes to the log while it works",
      run: async (_, { extra }) => {
        for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
          await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
          await sleep(50);
        }
        return text("The work is done");
      },
    },
    test_sampling: {
      description: "Asks the model",
      inputSchema: { type: "object", properties: { prompt: { type: "string" } }, required: ["prompt"] },
      run: async ({ prompt }, { asks }) =>
        text(`LLM response: ${await asks.sample("prompt", String(prompt), 100)}`),
    },
    test_elicitation: {
      description: "Asks the user",
      inputSchema: { type: "object", properties: { message: { type: "string" } }, required: ["message"] },
      run: async ({ message }, { asks }) =>
        text(`User response: ${answered(await asks.fill("user", String(message), USER))}`),
    },
    test_elicitation_sep1034_defaults: {
      description: "Asks with a form that is filled in already",
      run: async (_, { asks }) =>
        text(`Elicitation completed: ${answered(await asks.fill("defaults", "As it should be?", DEFAULTS))}`),
    },
    test_elicitation_sep1330_enums: {
      description: "Asks to choose, in the five ways there are",
      run: async (_, { asks }) =>
        text(`Elicitation completed: ${answered(await asks.fill("enums", "Which ones?", ENUMS))}`),
    },
    test_reconnection: {
      description: "Hangs up, and has its result ready for whoever comes back",
      run: async (_, { extra }) => {
        // Absent where events are not kept, and for clients of earlier revisions.
        extra.closeSSEStream?.();
        await sleep(100);
        return text("Somebody came back for this");
      },
    },
  }),
);

const USER: Form = {
  type: "object",
  properties: {
    username: { type: "string", description: "The user's name" },
    email: { type: "string", description: "The user's address" },
  },
  required: ["username", "email"],
};

const DEFAULTS: Form = {
  type: "object",
  properties: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
};

const ENUMS: Form = {
  type: "object",
  properties: {
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: { type: "string", oneOf: titled("value", "Option") },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2", "option3"] } },
    titledMulti: { type: "array", items: { anyOf: titled("value", "Choice") } },
  },
};

function titled(value: string, title: string): { const: string; title: string }[] {
  return ["First", "Second", "Third"].map((nth, i) => ({
    const: `${value}${i + 1}`,
    title: `${nth} ${title}`,
  }));
}

const answered = ({ action, content = {} }: ElicitResult): string =>
  `action=${action}, content=${JSON.stringify(content)}`;

const text = (said: string): CallToolResult => ({ content: [{ type: "text", text: said }] });

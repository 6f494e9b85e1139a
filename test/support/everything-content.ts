/** The contents, prompts and resources that the conformance suite expects of a server, by its names. */

import type { GetPromptResult, PromptMessage, ReadResourceResult } from "@modelcontextprotocol/sdk/types.js";
import type { Asks } from "./everything-asks.ts";

/** A PNG of one red pixel. */
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/** A WAV without a sample in it. */
export const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

type Arguments = Readonly<Record<string, string>>;

export interface Prompt {
  readonly description: string;
  readonly arguments: readonly string[];
  get(given: Arguments, asks: Asks): Promise<GetPromptResult>;
}

export const PROMPTS: ReadonlyMap<string, Prompt> = new Map(
  Object.entries<Prompt>({
    test_simple_prompt: {
      description: "A prompt without arguments",
      arguments: [],
      get: async () => ({ messages: [says("This is a simple prompt for testing.")] }),
    },
    test_prompt_with_arguments: {
      description: "A prompt with two arguments",
      arguments: ["arg1", "arg2"],
      get: async ({ arg1, arg2 }) => ({
        messages: [says(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
      }),
    },
    test_prompt_with_embedded_resource: {
      description: "A prompt with a resource in it",
      arguments: ["resourceUri"],
      get: async ({ resourceUri = "" }) => ({
        messages: [
          user({
            type: "resource",
            resource: {
              uri: resourceUri,
              mimeType: "text/plain",
              text: "Embedded resource content for testing.",
            },
          }),
          says("Please process the embedded resource above."),
        ],
      }),
    },
    test_prompt_with_image: {
      description: "A prompt with an image in it",
      arguments: [],
      get: async () => ({
        messages: [
          user({ type: "image", data: PNG, mimeType: "image/png" }),
          says("Please analyze the image above."),
        ],
      }),
    },
    test_input_required_result_prompt: {
      description: "A prompt that asks for its context",
      arguments: [],
      get: async (_, asks) => {
        const question = "What context should the prompt use?";
        const { context } = await asks.elicit("user_context", question, { context: { type: "string" } });
        return { messages: [says(`Consider: ${context}`)] };
      },
    },
  }),
);

export const RESOURCES = [
  { uri: "test://static-text", name: "static-text", description: "A text", mimeType: "text/plain" },
  { uri: "test://static-binary", name: "static-binary", description: "An image", mimeType: "image/png" },
  { uri: "test://watched-resource", name: "watched", description: "One to watch", mimeType: "text/plain" },
];

export const RESOURCE_TEMPLATES = [
  {
    uriTemplate: "test://template/{id}/data",
    name: "template",
    description: "Data by id",
    mimeType: "application/json",
  },
];

/** Undefined for a resource that does not exist. */
export function readResource(uri: string): ReadResourceResult | undefined {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) {
    const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
    return { contents: [{ uri, mimeType: "application/json", text }] };
  }
  switch (uri) {
    case "test://static-text":
      return {
        contents: [{ uri, mimeType: "text/plain", text: "This is the content of the static text resource." }],
      };
    case "test://static-binary":
      return { contents: [{ uri, mimeType: "image/png", blob: PNG }] };
    case "test://watched-resource":
      return { contents: [{ uri, mimeType: "text/plain", text: "Nothing has happened yet." }] };
  }
  return undefined;
}

const user = (content: PromptMessage["content"]): PromptMessage => ({ role: "user", content });
const says = (text: string): PromptMessage => user({ type: "text", text });

/** Every difference between `createMcpHandler` (left) and the gateway in front of a legacy server (right), with its reason. */

export interface Listed {
  readonly difference: string;
  /** Names of requests. */
  readonly requests: readonly string[];
  readonly reason: string;
}

const WRONG_ENVELOPE = [
  "no version in the envelope",
  "a version that is no string",
  "no capabilities in the envelope",
  "capabilities that are no object",
  "a capability that is no object",
  "a client that is no object",
  "a log level that there is not",
  "no envelope",
  "no params",
];
const WRONG_HEADERS = [
  "no version in the header",
  "another version in the header",
  "no method in the header",
  "another method in the header",
  "no name in the header",
  "another name in the header",
  "the name in bad base64",
  "no header for a mirrored argument",
  "another header for a mirrored argument",
];

/** What the gateway decides otherwise. */
const OURS: readonly Listed[] = [
  {
    difference: "/result/capabilities/extensions/io.modelcontextprotocol/tasks: - | {}",
    requests: ["discover"],
    reason: "Tasks are what the gateway adds.",
  },
  {
    difference: "/error/code: -32601 | -32021",
    requests: ["a task, by a client without tasks"],
    reason: "The gateway has the method, so the missing capability is what is wrong (Tasks §Capabilities).",
  },
  {
    difference: "/error/data/requiredCapabilities/extensions/io.modelcontextprotocol/tasks: - | {}",
    requests: ["a task, by a client without tasks"],
    reason: "As above.",
  },
  {
    difference: "status: 404 | 400",
    requests: ["a task, by a client without tasks"],
    reason: "As above.",
  },
  {
    difference: "/error/code: -32601 | -32602",
    requests: ["a task, by a client with tasks"],
    reason: "The gateway has the method, so the unknown task is what is wrong (Tasks §Protocol Errors).",
  },
  {
    difference: "status: 404 | 200",
    requests: ["a task, by a client with tasks"],
    reason: "As above.",
  },
  {
    difference: "/error/data/mismatch: … | -",
    requests: WRONG_HEADERS,
    reason: "The specification gives -32020 no data; the gateway's message says the same.",
  },
  {
    difference: "/error/data/envelope: … | -",
    requests: WRONG_ENVELOPE,
    reason: "The specification gives -32602 no data; the gateway's message says the same.",
  },
  {
    difference: "answer: result | error -32020",
    requests: ["a header for no argument"],
    reason:
      "A header that a balancer routes by must say what the body says; a value that the body has not got is a mismatch.",
  },
  {
    difference: "status: 200 | 400",
    requests: ["a header for no argument"],
    reason: "As above.",
  },
  {
    difference: "/id: 1.5 | null",
    requests: ["a fractional id"],
    reason: "An id is a string or an integer, in an error as well.",
  },
  {
    difference: "/error/code: -32000 | -32600",
    requests: ["another content type", "a body that is too large", "GET", "DELETE"],
    reason: "New implementations are not to use -32000 to -32019 (Overview §Error Codes).",
  },
  {
    difference: "answer: result | error -32600",
    requests: ["neither JSON nor streams"],
    reason: "A client that can read no answer is told so before work is done for it.",
  },
  {
    difference: "/id: 1 | null",
    requests: ["neither JSON nor streams"],
    reason: "It is told so before its body is read.",
  },
  {
    difference: "status: 200 | 406",
    requests: ["neither JSON nor streams"],
    reason: "As above.",
  },
];

/** What the legacy server says otherwise, and the gateway passes on. */
const THEIRS: readonly Listed[] = [
  ...[0, 2].map((tool) => ({
    difference: `/result/tools/${tool}/inputSchema/$schema: "https://json-schema.org/draft/2020-12/schema" | "http://json-schema.org/draft-07/schema#"`,
    requests: ["list tools"],
    reason: "The v1 SDK writes schemas in another dialect.",
  })),
  {
    difference:
      '/result/content/0/text: "Input validation error: Invalid arguments for tool echo: text: Invalid input: expected string, received number" | "MCP error -32602: Input validation error: Invalid arguments for tool echo: Invalid input: expected string, received number at text"',
    requests: ["call a tool with the wrong arguments"],
    reason: "The v1 SDK says it in other words.",
  },
  {
    difference: "answer: error -32602 | result",
    requests: ["call a tool that there is not"],
    reason: "The v1 SDK answers an unknown tool with a result that is an error.",
  },
  {
    difference: '/error/data/uri: "twin://none" | -',
    requests: ["read a resource that there is not"],
    reason: "The v1 SDK does not repeat the address.",
  },
];

export const LISTED: readonly Listed[] = [...OURS, ...THEIRS];

/** Every difference between a legacy server (left) and the gateway in front of it (right), for a legacy client. */
export const LEGACY_LISTED: readonly Listed[] = [
  {
    difference: "/error/code: -32000 | -32600",
    requests: ["PUT"],
    reason: "The gateway refuses the method itself, in its own words.",
  },
  {
    difference: 'allow: "GET, POST, DELETE" | "GET, HEAD, POST, DELETE, OPTIONS"',
    requests: ["PUT"],
    reason:
      "A 405 names every method that the endpoint takes (RFC 9110 §15.5.6), those that only pass through too.",
  },
  ...["cancel", "requests/tools/call"].map((capability) => ({
    difference: `/result/capabilities/tasks/${capability}: - | {}`,
    // The twin, like all v1 servers, offers its newest revision for one that it does not know.
    requests: ["initialize of 2025-11-25", "initialize of a version that there is not"],
    reason: "Tasks are what the gateway adds, where 2025-11-25 was negotiated.",
  })),
  ...[0, 1, 2].map((tool) => ({
    difference: `/result/tools/${tool}/execution/taskSupport: "forbidden" | "optional"`,
    requests: ["list tools in 2025-11-25"],
    reason: "The v1 SDK says it of every tool, unasked; here it is the policy's to say.",
  })),
];

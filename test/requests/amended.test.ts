import { describe, expect, test } from "vitest";
import {
  readInitializeResult,
  type TaskSupport,
  withTaskSupport,
  withTasksCapability,
} from "../../src/requests/amended.ts";

const TASKS = { cancel: {}, requests: { tools: { call: {} } } };
const TASKS_TEXT = '"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}';
/** More levels than any stack has room for. */
const DEEP = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;

describe("withTasksCapability", () => {
  test.for<[what: string, before: string, after: string]>([
    [
      "the answer of an ordinary server",
      '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}',
      '},"serverInfo":{"name":"a","version":"1"}}}',
    ],
    [
      "other capabilities, white space",
      '\t{ "id" : "a",\r\n "result" : { "capabilities" : { "tools" : { "listChanged" : true } , "logging" : { }',
      '\n } , "protocolVersion" : "2025-11-25" } } \n',
    ],
    [
      "numbers, escapes and key order",
      '{"result":{"z":12345678901234567890,"a":1.0,"b":1E+2,"capabilities":{"\\u0074ools":{"\\/":"\\u00e9é"}',
      '},"protocolVersion":"2025-11-2\\u0035"},"id":-0}',
    ],
    [
      "duplicate keys, the last of which counts",
      '{"result":1,"result":{"capabilities":{"tasks":{}},"protocolVersion":"x","capabilities":{"tools":1,"tools":{}',
      '},"protocolVersion":"2025-11-25"}}',
    ],
    [
      "a key that is no key of ours",
      '{"__proto__":{"method":"x"},"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"__proto__":{"tasks":{}}',
      "}}}",
    ],
  ])("is put into %s", ([, before, after]) => {
    const message = before + after;
    expect(withTasksCapability(message, TASKS)).toBe(`${before},${TASKS_TEXT}${after}`);
    expect(JSON.parse(withTasksCapability(message, TASKS)).result.capabilities.tasks).toEqual(TASKS);
  });

  test.for<[what: string, message: string]>([
    ["an older revision", initialized({ protocolVersion: "2025-06-18" })],
    ["a newer revision", initialized({ protocolVersion: "2026-07-28" })],
    ["no revision", initialized({ protocolVersion: undefined })],
    ["a revision that is no text", initialized({ protocolVersion: 20251125 })],
    ["no tools", initialized({ capabilities: { logging: {} } })],
    ["tools that are no object", initialized({ capabilities: { tools: true } })],
    ["tasks of the server's own", initialized({ capabilities: { tools: {}, tasks: { list: {} } } })],
    ["tasks that are nothing", initialized({ capabilities: { tools: {}, tasks: null } })],
    ["no capabilities", initialized({ capabilities: undefined })],
    ["capabilities that are a list", initialized({ capabilities: ["tools"] })],
    ["an error", '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unsupported protocol version"}}'],
    ["a result that is no object", '{"jsonrpc":"2.0","id":1,"result":"2025-11-25"}'],
    ["a batch", `[${initialized({})}]`],
    ["a number", "1"],
    ["nothing", ""],
    ["no JSON", initialized({}).replace("}", ",}")],
    ["a comment", `${initialized({})}// x`],
    ["a byte order mark", `\ufeff${initialized({})}`],
    ["two messages", initialized({}) + initialized({})],
    ["nesting without end", initialized({}).replace('"tools"', `"deep":${DEEP},"tools"`)],
  ])("is not put into an answer with %s", ([, message]) => {
    expect(withTasksCapability(message, TASKS)).toBe(message);
  });

  test("is put in once", () => {
    const once = withTasksCapability(initialized({}), TASKS);
    expect(once).not.toBe(initialized({}));
    expect(withTasksCapability(once, TASKS)).toBe(once);
  });
});

describe("withTaskSupport", () => {
  test.for<[tool: string, amended: string]>([
    ['{"name":"a"}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    ['{ "name" : "a"\n}', '{ "name" : "a","execution":{"taskSupport":"optional"}\n}'],
    [
      '{"name":"a","inputSchema":{"const":1.0,"name":"b"}}',
      '{"name":"a","inputSchema":{"const":1.0,"name":"b"},"execution":{"taskSupport":"optional"}}',
    ],
    ['{"name":"a","execution":{}}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    ['{"execution":{ },"name":"a"}', '{"execution":{"taskSupport":"optional" },"name":"a"}'],
    [
      '{"execution":{"cost":1.0 } ,"name":"a"}',
      '{"execution":{"cost":1.0,"taskSupport":"optional" } ,"name":"a"}',
    ],
    [
      '{"execution":{"taskSupport" : "forbidden", "cost":1e2},"name":"a"}',
      '{"execution":{"taskSupport" : "optional", "cost":1e2},"name":"a"}',
    ],
    ['{"name":"a","execution":{"taskSupport":null}}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    ['{"name":"a","execution":{"taskSupport":["x"]}}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    [
      '{"name":"a","execution":{"taskSupport":"optional"}}',
      '{"name":"a","execution":{"taskSupport":"optional"}}',
    ],
    [
      '{"name":"a","execution":{"taskSupport":"\\u006fptional"}}',
      '{"name":"a","execution":{"taskSupport":"\\u006fptional"}}',
    ],
    ['{"name":"a","execution":null}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    ['{"name":"a","execution":[{}]}', '{"name":"a","execution":{"taskSupport":"optional"}}'],
    [
      '{"name":"a","execution":{"taskSupport":"required"},"execution":{"taskSupport":"x","taskSupport":"y"}}',
      '{"name":"a","execution":{"taskSupport":"required"},"execution":{"taskSupport":"x","taskSupport":"optional"}}',
    ],
    ['{"name":"b"}', '{"name":"b","execution":{"taskSupport":"forbidden"}}'],
    ['{"name":"a","name":"c"}', '{"name":"a","name":"c","execution":{"taskSupport":"required"}}'],
    ['{"name":"\\u0061"}', '{"name":"\\u0061","execution":{"taskSupport":"optional"}}'],
    [
      '{"n\\u0061me":"\\ud83d\\ude00"}',
      '{"n\\u0061me":"\\ud83d\\ude00","execution":{"taskSupport":"forbidden"}}',
    ],
    ['{"name":""}', '{"name":"","execution":{"taskSupport":"forbidden"}}'],
    ["{}", "{}"],
    ['{"name":1}', '{"name":1}'],
    ['{"title":"a"}', '{"title":"a"}'],
    ['{"__proto__":{"name":"a"}}', '{"__proto__":{"name":"a"}}'],
    ["null", "null"],
    ['"a"', '"a"'],
    ['[{"name":"a"}]', '[{"name":"a"}]'],
  ])("%s is told as %s", ([tool, amended]) => {
    for (const [before, after] of SURROUNDINGS) {
      expect(withTaskSupport(before + tool + after, supportOf)).toBe(before + amended + after);
    }
    const [list, amendedList] = [tool, amended].map((each) => `{"result":{"tools":[${each} , ${each}]}}`);
    expect(withTaskSupport(list ?? "", supportOf)).toBe(amendedList);
  });

  test.for<[what: string, message: string]>([
    ["no tools", '{"result":{"tools":[]}}'],
    ["a map of tools", '{"result":{"tools":{"a":{"name":"a"}}}}'],
    ["tools elsewhere", '{"tools":[{"name":"a"}],"result":{"result":{"tools":[{"name":"a"}]}}}'],
    ["tools that do not count", '{"result":{"tools":[{"name":"a"}],"tools":null}}'],
    ["an error", '{"id":1,"error":{"code":-32601,"message":"x","data":{"tools":[{"name":"a"}]}}}'],
    ["a batch", '[{"result":{"tools":[{"name":"a"}]}}]'],
    ["no JSON", '{"result":{"tools":[{"name":"a"},]}}'],
    ["single quotes", "{'result':{'tools':[{'name':'a'}]}}"],
    ["half a message", '{"result":{"tools":[{"name":"a"}]}'],
    ["nothing", ""],
    ["nesting without end", `{"result":{"tools":[{"name":"a","inputSchema":${DEEP}}]}}`],
  ])("leaves an answer with %s as it is", ([, message]) => {
    expect(withTaskSupport(message, supportOf)).toBe(message);
  });
});

describe("readInitializeResult", () => {
  test("reads what was negotiated, and leaves nothing out", () => {
    const result = { protocolVersion: "2025-06-18", capabilities: { tools: {}, x: 1 }, instructions: "i" };
    expect(readInitializeResult(JSON.stringify({ jsonrpc: "2.0", id: 0, result }))).toEqual({
      protocolVersion: "2025-06-18",
      hasTasks: false,
      capabilities: { tools: {}, x: 1 },
      result,
    });
  });

  test.for<[capabilities: string, hasTasks: boolean]>([
    ['{"tasks":{}}', true],
    ['{"tasks":null}', true],
    ["{}", false],
    ['{"__proto__":{"tasks":{}}}', false],
    ['{"experimental":{"tasks":{}}}', false],
  ])("whether %s says something of tasks: %j", ([capabilities, hasTasks]) => {
    const message = `{"result":{"protocolVersion":"2025-11-25","capabilities":${capabilities}}}`;
    expect(readInitializeResult(message)).toMatchObject({ hasTasks });
  });

  test.for<string>([
    "",
    "null",
    "[]",
    "<html>",
    '{"result":null}',
    '{"result":{}}',
    '{"result":{"protocolVersion":"2025-11-25"}}',
    '{"result":{"capabilities":{}}}',
    '{"result":{"protocolVersion":1,"capabilities":{}}}',
    '{"result":{"protocolVersion":"2025-11-25","capabilities":[]}}',
    '{"id":1,"error":{"code":-32602,"message":"x"}}',
    '[{"result":{"protocolVersion":"2025-11-25","capabilities":{}}}]',
  ])("%s is no such result", (message) => {
    expect(readInitializeResult(message)).toBeUndefined();
  });
});

const SURROUNDINGS: readonly (readonly [before: string, after: string])[] = [
  ['{"jsonrpc":"2.0","id":1,"result":{"tools":[', "]}}"],
  [
    '\n{ "result" : { "nextCursor" : "1" , "tools" : [ ',
    ' ] , "n":12345678901234567890 } , "id":"\\u0031" } \r\n',
  ],
  [
    '{"result":{"tools":[{"name":"a"}]},"result":{"tools":[{"name":"a"}],"tools":[',
    ',null,7],"__proto__":{}}}',
  ],
];

function supportOf(tool: string): TaskSupport {
  if (tool === "a") return "optional";
  return tool === "c" ? "required" : "forbidden";
}

function initialized(changes: Record<string, unknown>): string {
  const result = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, ...changes };
  return JSON.stringify({ jsonrpc: "2.0", id: 1, result });
}

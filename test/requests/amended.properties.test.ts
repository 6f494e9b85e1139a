/** What holds for any answer to `tools/list`: the spans that may change do, and no other byte. */

import { expect, test } from "vitest";
import { isObject, type JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type TaskSupport, withTaskSupport, withTasksCapability } from "../../src/requests/amended.ts";
import * as fc from "../support/properties.ts";

/** A piece of a message, and what becomes of it. */
interface Piece {
  readonly said: string;
  readonly told: string;
}

const TASKS = { requests: { tools: { call: {} } } };

const space = fc.stringMatching(/^[ \t\r\n]{0,2}$/);
const number = fc.constantFrom("0", "-0", "1.0", "1E+2", "0.1e-7", "12345678901234567890");
const string = fc.oneof(
  fc.string({ unit: "grapheme" }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '"\\u0061"',
    '"\\ud800"',
    '"\\/"',
    '"{[,:\\""',
    '"\\u0000"',
    '"\u2028"',
    '"name"',
    '"execution"',
  ),
);
const key = fc.oneof(fc.constantFrom('"tools"', '"result"', '"a"', '"__proto__"', '"0"'), string);
const literal = fc.constantFrom("true", "false", "null");

const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, literal, number, string, tie("list"), tie("object")),
  list: fc.tuple(fc.array(tie("value"), { maxLength: 3 }), space).map(([items, gap]) => listOf(items, gap)),
  object: fc.tuple(fc.array(fc.tuple(key, tie("value")), { maxLength: 3 }), space).map(([members, gap]) =>
    objectOf(
      members.map(([name, each]) => `${name}${gap}:${gap}${each}`),
      gap,
    ),
  ),
}));

/** Members with names that mean nothing where they stand, whatever they look like. */
const others = fc.array(
  fc
    .tuple(fc.constantFrom("title", "inputSchema", "_meta", "a"), value)
    .map(([name, each]) => `"${name}":${each}`),
  { maxLength: 3 },
);

const executionObject = fc
  .tuple(others, others, fc.option(value, { nil: undefined }), space)
  .map(([before, after, support, gap]): Piece => {
    if (support === undefined) {
      const members = [...before, ...after];
      const said = objectOf(members, gap);
      const end = said.length - 1 - gap.length;
      const start = said.slice(0, members.length === 0 ? 1 : end);
      const comma = members.length === 0 ? "" : ",";
      return { said, told: `${start}${comma}"taskSupport":"optional"${said.slice(start.length)}` };
    }
    const around = (each: string) => objectOf([...before, `"taskSupport"${gap}:${each}`, ...after], gap);
    return { said: around(support), told: around('"optional"') };
  });
const execution = fc.oneof(
  { weight: 3, arbitrary: executionObject },
  {
    weight: 1,
    arbitrary: fc
      .oneof(literal, number, string)
      .map((said): Piece => ({ said, told: '{"taskSupport":"optional"}' })),
  },
);

const tool = fc
  .tuple(others, others, fc.option(execution, { nil: undefined }), fc.boolean(), space)
  .map(([before, after, executed, isFirst, gap]): Piece => {
    const name = `"name"${gap}:"tool"`;
    const withExecution = (each: string) => {
      const member = `"execution":${gap}${each}`;
      return objectOf(
        isFirst ? [...before, member, name, ...after] : [...before, name, member, ...after],
        gap,
      );
    };
    if (executed !== undefined) {
      return { said: withExecution(executed.said), told: withExecution(executed.told) };
    }
    const said = objectOf([...before, name, ...after], gap);
    const end = said.length - 1 - gap.length;
    return { said, told: `${said.slice(0, end)},"execution":{"taskSupport":"optional"}${said.slice(end)}` };
  });
const noTool = fc
  .oneof(
    literal,
    number,
    string,
    others.map((members) => objectOf(members, "")),
  )
  .map((said): Piece => ({ said, told: said }));

const answer = fc
  .tuple(
    others,
    others,
    fc.array(fc.oneof({ weight: 3, arbitrary: tool }, { weight: 1, arbitrary: noTool })),
    space,
  )
  .map(([before, after, tools, gap]): Piece => {
    const around = (list: string) => {
      const result = objectOf([...before, `"tools"${gap}:${gap}${list}`, ...after], gap);
      return gap + objectOf([...after, `"result":${result}`, ...before], gap) + gap;
    };
    return {
      said: around(
        listOf(
          tools.map(({ said }) => said),
          gap,
        ),
      ),
      told: around(
        listOf(
          tools.map(({ told }) => told),
          gap,
        ),
      ),
    };
  });

test("a tool's support for tasks is told, and no other byte is touched", () =>
  fc.assert(
    fc.property(answer, ({ said, told }) => {
      expect(withTaskSupport(said, () => "optional")).toBe(told);
      expect(withTaskSupport(told, () => "optional")).toBe(told);
    }),
    { numRuns: 500 },
  ));

test("what is read afterwards is what was read before, with the support for tasks of each tool", () =>
  fc.assert(
    fc.property(answer, ({ said }) => {
      expect(JSON.parse(withTaskSupport(said, () => "required"))).toEqual(
        supported(JSON.parse(said), "required"),
      );
    }),
    { numRuns: 500 },
  ));

test("any text at all is amended as its parse would be, or is left alone", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        value,
        fc.string(),
        answer.map(({ said }) => said),
      ),
      fc.nat(),
      fc.constantFrom("", "{", "}", "[", ",", '"', "\\", "//", "0", "\n"),
      (text, seed, inserted) => {
        const at = seed % (text.length + 1);
        const broken = text.slice(0, at) + inserted + text.slice(at);
        const parse = parsed(broken);
        const amended = withTaskSupport(broken, () => "forbidden");
        expect(parsed(amended)).toEqual(supported(parse, "forbidden"));
        expect(parse !== undefined || amended === broken).toBe(true);
      },
    ),
    { numRuns: 2_000 },
  ));

test("a capability is put in, and can be taken out again", () =>
  fc.assert(
    fc.property(others, others, value, space, (before, after, tools, gap) => {
      const capabilities = objectOf([...before, `"tools":${gap}{"listChanged":${tools}}`, ...after], gap);
      const members = [`"protocolVersion":${gap}"2025-11-25"`, ...before, `"capabilities":${capabilities}`];
      const message = objectOf([`"result":${gap}${objectOf(members, gap)}`, ...after], gap);
      const amended = withTasksCapability(message, TASKS);
      expect(JSON.parse(amended).result.capabilities.tasks).toEqual(TASKS);
      const insertion = `,"tasks":${JSON.stringify(TASKS)}`;
      const at = amended.lastIndexOf(insertion);
      expect(amended.slice(0, at) + amended.slice(at + insertion.length)).toBe(message);
    }),
  ));

/** The same, done to the parsed message: what does not matter here is how it is written. */
function supported(message: unknown, taskSupport: TaskSupport): unknown {
  if (!isObject(message) || !isObject(message.result) || !Array.isArray(message.result.tools)) return message;
  const tools = message.result.tools.map((each: unknown) => {
    if (!isObject(each) || !Object.hasOwn(each, "name") || typeof each.name !== "string") return each;
    const own: JsonObject =
      Object.hasOwn(each, "execution") && isObject(each.execution) ? each.execution : {};
    return { ...each, execution: { ...own, taskSupport } };
  });
  return { ...message, result: { ...message.result, tools } };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function objectOf(members: readonly string[], gap: string): string {
  return `{${gap}${members.join(`${gap},${gap}`)}${members.length === 0 ? "" : gap}}`;
}

function listOf(items: readonly string[], gap: string): string {
  return `[${gap}${items.join(`${gap},${gap}`)}${gap}]`;
}

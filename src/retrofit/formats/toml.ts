import { type AST, getStaticTOMLValue, ParseError, parseTOML } from "toml-eslint-parser";
import { type Field, type Format, lineStart, type Mapping, nextLine, Unreadable } from "./mapping.ts";

export const toml: Format = {
  parse(given) {
    const text = given.replace(/^\uFEFF/, " ");
    try {
      const program = parseTOML(text);
      const value: unknown = getStaticTOMLValue(program);
      return { value, mappingAt: (path) => mappingAt(text, program, path.map(String)) };
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      throw new Unreadable(`line ${error.lineNumber}: is not TOML`);
    }
  },
  field: (key, value) => `${keyText(key)} = ${valueText(value)}`,
  value: valueText,
};

function keyText(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

/** A basic string of TOML has the escapes of JSON. */
function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, each]) => `${keyText(key)} = ${valueText(each)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** An entry is a table with the tables below it, which follow it, or an inline table. Dotted keys are not edited. */
function mappingAt(
  text: string,
  { body: [top] }: AST.TOMLProgram,
  path: readonly string[],
): Mapping | undefined {
  const tables = top.body.filter((each) => each.type === "TOMLTable" && isBelow(each.resolvedKey, path));
  const [own, ...below] = tables as AST.TOMLTable[];
  if (own === undefined) return inlineAt(top, path);
  if (own.resolvedKey.length !== path.length) return undefined;
  const first = top.body.indexOf(own);
  // Another table in between would belong to the part that is put back.
  if (below.some((table, index) => top.body.indexOf(table) !== first + index + 1)) return undefined;
  const inOwn = fieldsOf(own.body);
  if (inOwn === undefined) return undefined;
  const names = [...new Set(below.map(({ resolvedKey }) => String(resolvedKey[path.length])))];
  const tablesOf = (key: string) =>
    below.filter(({ resolvedKey }) => String(resolvedKey[path.length]) === key);
  const inTables = names.map((key) => tableField(key, tablesOf(key)));
  const end = [...inOwn, ...inTables].at(-1)?.end ?? own.key.range[1] + 1;
  return {
    style: "lines",
    start: lineStart(text, own.range[0]),
    end: nextLine(text, end),
    fields: [...inOwn, ...inTables],
    open: own.key.range[1] + 1,
  };
}

function inlineAt(top: AST.TOMLTopLevelTable, path: readonly string[]): Mapping | undefined {
  const candidates = top.body.flatMap((each) => {
    const [above, pairs] =
      each.type === "TOMLTable" ? [each.resolvedKey.map(String), each.body] : [[], [each]];
    return pairs.map((pair) => ({ pair, full: [...above, ...keysOf(pair)] }));
  });
  const found = candidates.find(
    ({ pair, full }) => pair.value.type === "TOMLInlineTable" && isBelow(path, full),
  );
  if (found === undefined) return undefined;
  const rest = path.slice(found.full.length);
  const table = rest.reduce<AST.TOMLContentNode | undefined>((above, key) => {
    if (above?.type !== "TOMLInlineTable") return undefined;
    return above.body.find((pair) => keysOf(pair).join(".") === key)?.value;
  }, found.pair.value);
  if (table?.type !== "TOMLInlineTable") return undefined;
  const fields = fieldsOf(table.body);
  if (fields === undefined) return undefined;
  const [start, end] = table.range;
  return { style: "commas", start, end, fields, open: start + 1 };
}

function fieldsOf(pairs: readonly AST.TOMLKeyValue[]): readonly Field[] | undefined {
  const fields = pairs.map((pair) => {
    const [key, ...more] = keysOf(pair);
    if (key === undefined || more.length > 0) return undefined;
    const [[start, end], [valueStart, valueEnd]] = [pair.range, pair.value.range];
    return { key, start, end, valueStart, valueEnd };
  });
  return fields.every((field) => field !== undefined) ? fields : undefined;
}

/** A table below the entry's, as a field of the entry: it can be removed, and has no value to replace. */
function tableField(key: string, tables: readonly AST.TOMLTable[]): Field {
  const start = tables[0]?.range[0] ?? 0;
  const end = tables.at(-1)?.range[1] ?? start;
  return { key, start, end, valueStart: start, valueEnd: end };
}

function keysOf({ key }: AST.TOMLKeyValue): readonly string[] {
  return key.keys.map((each) => (each.type === "TOMLBare" ? each.name : each.value));
}

/** Whether a path is another one, or leads further. */
function isBelow(path: readonly (string | number)[], above: readonly string[]): boolean {
  return above.every((key, index) => String(path[index]) === key);
}

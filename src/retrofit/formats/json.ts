import { type Node, type ParseError, parse, parseTree, printParseErrorCode } from "jsonc-parser";
import type { Path } from "../../config/problems.ts";
import { type Format, type Mapping, Unreadable } from "./mapping.ts";

/** JSON, with the comments and trailing commas that some clients allow. */
export const json: Format = {
  parse(given) {
    // The mark that some editors put first would be an error.
    const text = given.replace(/^\uFEFF/, " ");
    const errors: ParseError[] = [];
    const options = { allowTrailingComma: true };
    const root = parseTree(text, errors, options);
    const [error] = errors;
    if (error !== undefined || root === undefined)
      throw new Unreadable(
        `line ${lineOf(text, error?.offset ?? 0)}: is not JSON${error === undefined ? "" : `: ${words(error)}`}`,
      );
    return { value: parse(text, [], options), mappingAt: (path) => mappingAt(root, path) };
  },
  field: (key, value) => `${JSON.stringify(key)}: ${flow(value)}`,
  value: flow,
};

/** Whether the text is JSON to a reader that knows no comments and no trailing commas. */
export function isStrictJson(text: string): boolean {
  const errors: ParseError[] = [];
  parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  return errors.length === 0;
}

/** On one line, with a blank after each comma and colon. */
export function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${flow(each)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

function words({ error }: ParseError): string {
  return printParseErrorCode(error)
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .toLowerCase();
}

/** `undefined` also if a name on the way or in the mapping stands there twice: one reader takes the first value, another one the last. */
function mappingAt(root: Node, path: Path): Mapping | undefined {
  const node = path.reduce<Node | undefined>(childAt, root);
  if (node?.type !== "object") return undefined;
  const fields = (node.children ?? []).flatMap(({ offset, length, children = [] }) => {
    const [key, value] = children;
    if (key === undefined || value === undefined) return [];
    const end = value.offset + value.length;
    return [
      {
        key: String(key.value),
        start: offset,
        end: offset + length,
        valueStart: value.offset,
        valueEnd: end,
      },
    ];
  });
  if (new Set(fields.map(({ key }) => key)).size < fields.length) return undefined;
  const { offset: start, length } = node;
  return { style: "commas", start, end: start + length, fields, open: start + 1 };
}

function childAt(node: Node | undefined, key: Path[number]): Node | undefined {
  if (node?.type === "array") return node.children?.[Number(key)];
  if (node?.type !== "object") return undefined;
  const [found, ...more] = (node.children ?? []).filter(({ children }) => children?.[0]?.value === key);
  return more.length > 0 ? undefined : found?.children?.[1];
}

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import type { Path } from "../../config/problems.ts";
import { flow } from "./json.ts";
import { type Format, lineStart, type Mapping, nextLine, Unreadable } from "./mapping.ts";

export const yaml: Format = {
  parse(text) {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
    const [error] = document.errors;
    if (error !== undefined) throw new Unreadable(`line ${lines.linePos(error.pos[0]).line}: is not YAML`);
    let value: unknown;
    try {
      value = document.toJS();
    } catch {
      throw new Unreadable("is not YAML: it has an alias without an anchor, or one that expands without end");
    }
    const root = document.contents as Node | null;
    return { value, mappingAt: (path) => mappingAt(text, root, path) };
  },
  field: (key, value) => `${/^[A-Za-z_][\w-]*$/.test(key) ? key : JSON.stringify(key)}: ${flow(value)}`,
  // JSON on one line is YAML.
  value: flow,
};

function mappingAt(text: string, root: Node | null, path: Path): Mapping | undefined {
  const node = path.reduce<unknown>((above, key) => {
    if (isSeq(above)) return above.items[Number(key)];
    if (!isMap(above)) return undefined;
    return above.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key))?.value;
  }, root);
  if (!isMap(node) || node.range == null) return undefined;
  const fields = fieldsOf(text, node);
  if (fields === undefined) return undefined;
  const [first] = fields;
  if (node.flow === true || first === undefined) {
    const [start, end] = node.range;
    return { style: "commas", start, end, fields, open: start + 1 };
  }
  const begin = lineStart(text, first.start);
  const last = fields.at(-1)?.end ?? first.end;
  const isAlone = text.slice(begin, first.start).trim() === "";
  return {
    style: "lines",
    start: isAlone ? begin : first.start,
    end: nextLine(text, last),
    fields,
    open: begin,
  };
}

function fieldsOf(text: string, map: YAMLMap): Mapping["fields"] | undefined {
  const fields = map.items.map(({ key, value }) => {
    if (!isScalar(key) || key.range == null) return undefined;
    const [start, keyEnd] = key.range;
    const node = value as Node | null;
    // A field without a value ends behind its colon.
    const colon = text.indexOf(":", keyEnd) + 1;
    const isEmpty = node?.range == null || node.range[0] === node.range[1];
    const valueStart = isEmpty ? colon : (node?.range?.[0] ?? colon);
    const valueEnd = isEmpty ? colon : endOf(text, node);
    return { key: String(key.value), start, end: valueEnd, valueStart, valueEnd };
  });
  return fields.every((field) => field !== undefined) ? fields : undefined;
}

/** Where the last word of a node ends: the range of a block reaches over the comments and the line break behind it. */
function endOf(text: string, node: Node | null): number {
  const end = node?.range?.[1] ?? 0;
  if (isAlias(node) || isScalar(node)) return text[end - 1] === "\n" ? end - 1 : end;
  if ((!isMap(node) && !isSeq(node)) || node.flow === true || node.items.length === 0) return end;
  if (isSeq(node)) return endOf(text, node.items.at(-1) as Node);
  return fieldsOf(text, node)?.at(-1)?.end ?? end;
}

/** What is kept of an answer, so that two of them can be compared; and how they are. */

import type { Header, Heard } from "./raw-client.ts";

export interface Recorded {
  readonly status: number;
  readonly reason: string;
  readonly before: readonly number[];
  readonly headers: readonly Header[];
  /** As latin1, so that every byte counts. */
  readonly body: string;
  readonly trailers: readonly Header[];
  readonly isWhole: boolean;
}

/** What was recorded of a session, by exchange. */
export type Recording = Readonly<Record<string, Recorded>>;

/** What differs from one time to the next, and has to be taken out before anything is compared. */
export interface Volatile {
  readonly found: RegExp;
  readonly becomes: string;
  readonly reason: string;
}

export const VOLATILE: readonly Volatile[] = [
  {
    found: /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/g,
    becomes: "<date>",
    reason: "The moment of the answer, in its head.",
  },
  {
    found: /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:_\d{13}_[0-9a-z]+)?/g,
    becomes: "<id>",
    reason: "Ids of sessions, of streams and of events, which servers draw by lot.",
  },
  {
    found: /_GET_stream_\d{13}_[0-9a-z]+/g,
    becomes: "<id of an event>",
    reason: "The id of an event on the stream to listen on has the time in it.",
  },
];

export function record({ status, reason, before, headers, body, trailers, isWhole }: Heard): Recorded {
  return {
    status,
    reason,
    before,
    headers: headers.map(([name, value]) => [name, steady(value)]),
    body: steady(body.toString("latin1")),
    trailers,
    isWhole,
  };
}

/** Every difference, as text: `-` is what only the one has, `+` what only the other has. */
export function differences(one: Recorded, other: Recorded): string[] {
  const [left, right] = [facts(one), facts(other)];
  const changed = Object.keys(left).filter((fact) => left[fact] !== right[fact]);
  return [
    ...changed.map((fact) => `${fact}: - ${left[fact]} + ${right[fact]}`),
    ...headerDifferences("header", one.headers, other.headers),
    ...headerDifferences("trailer", one.trailers, other.trailers),
    ...bodyDifferences(one.body, other.body),
  ].sort();
}

function steady(text: string): string {
  return VOLATILE.reduce((steadier, { found, becomes }) => steadier.replace(found, becomes), text);
}

function facts({ status, reason, before, isWhole }: Recorded): Record<string, string> {
  return { status: String(status), reason, before: before.join(), isWhole: String(isWhole) };
}

/** Names with their case, values, duplicates, and the order of those that both have. */
function headerDifferences(kind: string, one: readonly Header[], other: readonly Header[]): string[] {
  const [left, right] = [lines(one), lines(other)];
  const missing = without(left, right);
  const added = without(right, left);
  const [leftOrder, rightOrder] = [without(left, missing), without(right, added)];
  const isSameOrder = leftOrder.join("\n") === rightOrder.join("\n");
  return [
    ...missing.map((line) => `${kind} - ${withoutLength(line)}`),
    ...added.map((line) => `${kind} + ${withoutLength(line)}`),
    ...(isSameOrder
      ? []
      : [`${kind}s in another order: ${leftOrder.join(" | ")} + ${rightOrder.join(" | ")}`]),
  ];
}

/** That there is none any more is what counts, and not how much it was. */
function withoutLength(line: string): string {
  return line.replace(/^(content-length): \d+$/i, "$1: <length>");
}

function lines(headers: readonly Header[]): string[] {
  return headers.map(([name, value]) => `${name}: ${value}`);
}

/** What the one has and the other has not, or not as often. */
function without(from: readonly string[], what: readonly string[]): string[] {
  const left = [...what];
  return from.filter((line) => {
    const at = left.indexOf(line);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/** So many pieces that are the same again end a difference. */
const IN_STEP = 8;
/** How far a difference may reach. */
const FAR = 200;

/** Where the bodies part, and come together again; the same difference once, however often it is there. */
function bodyDifferences(one: string, other: string): string[] {
  if (one === other) return [];
  const [left, right] = [piecesOf(one), piecesOf(other)];
  const found = new Set<string>();
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (left[i] === right[j]) {
      i += 1;
      j += 1;
      continue;
    }
    const [skipLeft, skipRight] = nextStep(left, right, i, j);
    const gone = left.slice(i, i + skipLeft).join("");
    const come = right.slice(j, j + skipRight).join("");
    found.add(
      [
        "body",
        ...(gone === "" ? [] : [`- ${short(gone)}`]),
        ...(come === "" ? [] : [`+ ${short(come)}`]),
      ].join(" "),
    );
    i += skipLeft;
    j += skipRight;
  }
  return [...found];
}

function nextStep(left: readonly string[], right: readonly string[], i: number, j: number): [number, number] {
  for (let far = 1; far <= FAR; far++) {
    for (let skip = 0; skip <= far; skip++) {
      if (isInStep(left, right, i + skip, j + far - skip)) return [skip, far - skip];
    }
  }
  return [left.length - i, right.length - j];
}

function isInStep(left: readonly string[], right: readonly string[], i: number, j: number): boolean {
  if (i > left.length || j > right.length) return false;
  const ahead = left.slice(i, i + IN_STEP).join("");
  return ahead === right.slice(j, j + IN_STEP).join("") && (ahead !== "" || i === left.length);
}

function piecesOf(text: string): string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|[\w.+-]+|\s+|[\s\S]/g) ?? [];
}

function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : text;
}

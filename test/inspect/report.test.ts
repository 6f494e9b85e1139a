/** Facts in words. */

import { expect, test } from "vitest";
import type { CallFacts, Facts, HttpFacts, LegacyFacts, ToolFacts } from "../../src/inspect/facts.ts";
import { report } from "../../src/inspect/report.ts";

const FACTS: Facts = {
  target: "http://a.example/mcp",
  transport: "streamable-http",
  server: { name: "a", version: "1", capabilities: { tools: { listChanged: true }, logging: {} } },
  listed: { tools: [], problems: [] },
  remarks: [],
};
const LEGACY: LegacyFacts = { protocolVersion: "2025-06-18", versions: [], answersPing: true };
const HTTP: HttpFacts = {
  answersAs: "json",
  hasSessions: false,
  get: { status: 405, isStream: false },
  eventIds: { post: false, get: false },
};
const CALL: CallFacts = {
  tool: "slow",
  progress: { count: 0 },
  questions: [],
  endedMs: 100,
  end: { kind: "result", bytes: 10, isError: false },
};

const legacy = (more: Partial<LegacyFacts>): Facts => ({ ...FACTS, legacy: { ...LEGACY, ...more } });
const http = (more: Partial<HttpFacts>): Facts => legacy({ http: { ...HTTP, ...more } });
const tool = (more: Omit<ToolFacts, "name">): Facts => ({
  ...FACTS,
  listed: { tools: [{ name: "t", ...more }], problems: [] },
});
const call = (more: Partial<CallFacts>): Facts => ({ ...FACTS, call: { ...CALL, ...more } });
const answered = (asked: string, by = asked) => ({ asked, answered: by });

test.each<[string, Facts]>([
  ["capabilities  tools (listChanged), logging", FACTS],
  ["era           legacy: clients begin with initialize", legacy({})],
  [
    "era           modern: 2026-07-28, without initialize",
    { ...FACTS, modern: { versions: ["2026-07-28"], hasTasks: false } },
  ],
  [
    "era           both: modern (2026-07-28) and legacy",
    { ...legacy({}), modern: { versions: ["2026-07-28"], hasTasks: false } },
  ],
  [
    "versions      2025-06-18, 2024-11-05; 2025-11-25, 2025-03-26 answered with 2025-06-18",
    legacy({
      versions: [
        answered("2025-11-25", "2025-06-18"),
        answered("2025-06-18"),
        answered("2025-03-26", "2025-06-18"),
        answered("2024-11-05"),
      ],
    }),
  ],
  ["! 2025-06-18 is refused: too old", legacy({ versions: [{ asked: "2025-06-18", refusal: "too old" }] })],
  ["ping          is not answered", legacy({ answersPing: false })],
  ["starts in     7000 ms", legacy({ startMs: 7_000 })],
  [
    "at one time   one session: a second takes the place of the first",
    legacy({ secondSession: { outcome: "ends the first" } }),
  ],
  ["answers       as JSON only", http({})],
  ["sessions      have no id", http({})],
  [
    "sessions      have an id; an unknown one is answered with HTTP 404; DELETE with HTTP 405",
    http({ hasSessions: true, unknownSession: 404, delete: 405 }),
  ],
  ["GET           is refused with HTTP 405", http({})],
  ["GET           says nothing, not even a head", http({ get: { isStream: false } })],
  ["resumable     no: events have no ids", http({})],
  [
    "resumable     events have ids, and clients are to come back after 500 ms",
    http({ eventIds: { post: true, get: false }, retryMs: 500 }),
  ],
  ["  t", tool({})],
  [
    "  t: changes things, destroys, may not be repeated, reaches out",
    tool({ readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true }),
  ],
  ["  t: its x-mcp-header annotations break the rules and are ignored", tool({ headerParams: "invalid" })],
  ["  t: may be a task of 2025-11-25", tool({ taskSupport: "optional" })],
  ["  t: is a task of 2025-11-25 or nothing, so not for modern clients", tool({ taskSupport: "required" })],
  ["  t", tool({ taskSupport: "forbidden" })],
  ["ended after   100 ms with a result of 10 bytes", call({})],
  [
    "ended after   100 ms with JSON-RPC error -32602: no",
    call({ end: { kind: "error", code: -32602, message: "no" } }),
  ],
  ["ended after   100 ms without an answer: it was cancelled", call({ end: { kind: "late" } })],
  ['progress      2 notifications, the last says "half"', call({ progress: { count: 2, last: "half" } })],
  [
    'asks          elicitation/create after 5 ms "Really?", declined',
    call({
      questions: [{ method: "elicitation/create", message: "Really?", answer: "declined", afterMs: 5 }],
    }),
  ],
])("%s", (line, facts) => {
  expect(report(facts)).toContain(line);
});

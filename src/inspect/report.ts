import { count } from "../config/report.ts";
import { shortened } from "../log/one-line.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import type { CallEnd, CallFacts, Facts, HttpFacts, LegacyFacts, ToolFacts, VersionFacts } from "./facts.ts";
import { hasOwnTasks } from "./suggestion.ts";

const TRANSPORTS = {
  "streamable-http": "Streamable HTTP",
  sse: "HTTP+SSE (2024-11-05)",
  stdio: "stdio",
} as const;
const SECOND = {
  works: "several sessions",
  refused: "one session: a second is refused while there is a first",
  "ends the first": "one session: a second takes the place of the first",
  fatal: "one session: it took no other after a second was tried, and may have to be started again",
} as const;
const MAX_INSTRUCTIONS_CHARS = 160;
const LABEL_WIDTH = 14;

type Lines = string | undefined | readonly Lines[];

/** The facts for people, in lines. */
export function report(facts: Facts): readonly string[] {
  const { target, server, modern, legacy, listed, declared, call, remarks } = facts;
  return flat([
    target,
    [server.name ?? "a server without a name", server.version].filter(Boolean).join(" "),
    "",
    row("era", eraOf(facts)),
    row("transport", TRANSPORTS[facts.transport]),
    row("versions", modern && `modern: ${modern.versions.join(", ")}`),
    legacy && legacyRows(legacy),
    row("tasks", hasOwnTasks(facts) ? "are its own, and are passed on" : undefined),
    row("capabilities", Object.entries(server.capabilities).map(capability).join(", ") || "none"),
    row("instructions", server.instructions === undefined ? undefined : quoted(server.instructions)),
    row("lists", listsOf(listed)),
    [...listed.problems, ...remarks].map((problem) => `! ${problem}`),
    onlyFor("elicitation, roots and sampling", declared?.more),
    onlyFor("nothing", declared?.less),
    listed.tools.length === 0 ? [] : ["", "tools, and what they say of themselves"],
    listed.tools.map((tool) => `  ${[tool.name, sayingsOf(tool).join(", ")].filter(Boolean).join(": ")}`),
    call && ["", callLines(call)],
  ]);
}

function flat(lines: Lines): readonly string[] {
  if (lines === undefined) return [];
  return typeof lines === "string" ? [lines] : lines.flatMap(flat);
}

function row(label: string, text: string | undefined): Lines {
  return text === undefined ? undefined : `${label.padEnd(LABEL_WIDTH)}${text}`;
}

function quoted(text: string): string {
  return JSON.stringify(shortened(text, MAX_INSTRUCTIONS_CHARS));
}

function eraOf({ modern, legacy }: Facts): string {
  if (modern === undefined) return "legacy: clients begin with initialize";
  if (legacy === undefined) return `modern: ${MODERN_VERSION}, without initialize`;
  return `both: modern (${MODERN_VERSION}) and legacy`;
}

function legacyRows({ versions, answersPing, http, secondSession, startMs }: LegacyFacts): Lines {
  return [
    row("versions", versionsOf(versions)),
    versions.map(refusalOf),
    http && httpRows(http),
    row("at one time", secondSession && SECOND[secondSession.outcome]),
    secondSession?.reason === undefined ? undefined : `! ${secondSession.reason}`,
    row("starts in", startMs === undefined ? undefined : `${startMs} ms`),
    row("ping", answersPing ? "is answered" : "is not answered"),
  ];
}

function versionsOf(versions: readonly VersionFacts[]): string {
  const accepted = versions.filter(({ asked, answered }) => asked === answered).map(({ asked }) => asked);
  const instead = new Map<string, string[]>();
  for (const { asked, answered = asked } of versions.filter(({ refusal }) => refusal === undefined))
    if (answered !== asked) instead.set(answered, [...(instead.get(answered) ?? []), asked]);
  const others = [...instead].map(([answered, asked]) => `${asked.join(", ")} answered with ${answered}`);
  return [accepted.join(", "), ...others].filter(Boolean).join("; ");
}

function refusalOf({ asked, refusal, isLost }: VersionFacts): Lines {
  if (refusal === undefined) return undefined;
  if (isLost !== true) return `! ${asked} is refused: ${refusal}`;
  return `! ${asked} got no answer: ${refusal}; older versions were not tried`;
}

function httpRows({ answersAs, hasSessions, get, eventIds, retryMs, ...http }: HttpFacts): Lines {
  const [unknown, end] = [http.unknownSession, http.delete].map((status) => status ?? "(nothing)");
  const retry = retryMs === undefined ? "" : `, and clients are to come back after ${retryMs} ms`;
  const known = `have an id; an unknown one is answered with HTTP ${unknown}; DELETE with HTTP ${end}`;
  const listening = get.isStream ? "opens a stream" : `is refused with HTTP ${get.status}`;
  const ids = eventIds.post || eventIds.get ? "events have ids" : "no: events have no ids";
  return [
    row("answers", answersAs === "stream" ? "as event streams" : "as JSON only"),
    row("sessions", hasSessions ? known : "have no id"),
    row("GET", get.status === undefined ? "says nothing, not even a head" : listening),
    row("resumable", `${ids}${retry}`),
  ];
}

function capability([name, value]: readonly [string, unknown]): string {
  const details = typeof value === "object" && value !== null ? Object.keys(value) : [];
  return details.length === 0 ? name : `${name} (${details.join(", ")})`;
}

function listsOf({ tools, prompts, resources, resourceTemplates }: Facts["listed"]): string {
  const counts = { tool: tools.length, prompt: prompts, resource: resources };
  return Object.entries({ ...counts, "resource template": resourceTemplates })
    .flatMap(([noun, number]) => (number === undefined ? [] : [count(number, noun)]))
    .join(", ");
}

function onlyFor(what: string, names: readonly string[] = []): Lines {
  return names.length === 0 ? undefined : `! only for clients that declare ${what}: ${names.join(", ")}`;
}

function sayingsOf({ taskSupport, headerParams, ...tool }: ToolFacts): readonly string[] {
  const hint = (given: boolean | undefined, yes: string, no: string) =>
    given === undefined ? undefined : given ? yes : no;
  return flat([
    hint(tool.readOnlyHint, "only reads", "changes things"),
    hint(tool.destructiveHint, "destroys", "destroys nothing"),
    hint(tool.idempotentHint, "may be repeated", "may not be repeated"),
    hint(tool.openWorldHint, "reaches out", "stays inside"),
    taskSupport === "optional" ? `may be a task of ${TASKS_2025}` : undefined,
    taskSupport === "required"
      ? `is a task of ${TASKS_2025} or nothing, so not for modern clients`
      : undefined,
    headerParams === "invalid" ? "its x-mcp-header annotations break the rules and are ignored" : undefined,
    typeof headerParams === "number" ? `${count(headerParams, "argument")} mirrored in headers` : undefined,
  ]);
}

function callLines({ tool, acceptedMs, firstWordMs, progress, questions, endedMs, end }: CallFacts): Lines {
  const last = progress.last === undefined ? "" : `, the last says ${JSON.stringify(progress.last)}`;
  return [
    `one call of ${tool}`,
    row("taken after", acceptedMs === undefined ? undefined : `${acceptedMs} ms`),
    row("first word", firstWordMs === undefined ? undefined : `after ${firstWordMs} ms`),
    row("progress", progress.count === 0 ? "none" : `${count(progress.count, "notification")}${last}`),
    questions.map(({ method, message, answer, afterMs }) => {
      const said = message === undefined ? "" : ` ${JSON.stringify(message)}`;
      return row("asks", `${method} after ${afterMs} ms${said}, ${answer}`);
    }),
    row("ended after", `${endedMs} ms ${endWords(end)}`),
  ];
}

function endWords(end: CallEnd): string {
  switch (end.kind) {
    case "result": {
      const text = end.text === undefined ? "" : ` ${JSON.stringify(end.text)}`;
      return `with ${end.isError ? "an error of the tool" : "a result"} of ${end.bytes} bytes${text}`;
    }
    case "error":
      return `with JSON-RPC error ${end.code}: ${end.message}`;
    case "asks":
      return "with questions, which only a client can answer";
    case "task":
      return "with a task of the server's own";
    case "late":
      return "without an answer: it was cancelled";
    case "failed":
      return `without an answer: ${end.message}`;
  }
}

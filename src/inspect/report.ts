import { count } from "../config/report.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import type {
  CallEnd,
  CallFacts,
  Description,
  Facts,
  HttpFacts,
  LegacyFacts,
  ToolFacts,
  VersionFacts,
} from "./facts.ts";
import { hasOwnTasks } from "./rules.ts";

const TRANSPORTS = {
  "streamable-http": "Streamable HTTP",
  sse: "HTTP+SSE (2024-11-05)",
  stdio: "stdio",
} as const;
const MAX_INSTRUCTIONS_CHARS = 160;
const LABEL_WIDTH = 14;

/** What was found out, for people, in lines. */
export function report(facts: Facts): readonly string[] {
  const { target, server, listed, call, remarks } = facts;
  return [
    target,
    [server.name ?? "a server without a name", server.version].filter(Boolean).join(" "),
    "",
    ...row("era", eraOf(facts)),
    ...row("transport", TRANSPORTS[facts.transport]),
    ...(facts.modern === undefined ? [] : row("versions", `modern: ${facts.modern.versions.join(", ")}`)),
    ...(facts.legacy === undefined ? [] : legacyRows(facts.legacy)),
    ...(hasOwnTasks(facts) ? row("tasks", "are its own, and are passed on") : []),
    ...row("capabilities", capabilitiesOf(server)),
    ...(server.instructions === undefined
      ? []
      : row("instructions", JSON.stringify(shortened(server.instructions)))),
    ...row("lists", listsOf(listed)),
    ...listed.problems.map((problem) => `! ${problem}`),
    ...remarks.map((remark) => `! ${remark}`),
    ...declaredLines(facts.declared),
    ...(listed.tools.length === 0 ? [] : ["", "tools, and what they say of themselves"]),
    ...listed.tools.map(toolLine),
    ...(call === undefined ? [] : ["", ...callLines(call)]),
  ];
}

function eraOf({ modern, legacy }: Facts): string {
  if (modern === undefined) return "legacy: clients begin with initialize";
  return legacy === undefined
    ? `modern: ${MODERN_VERSION}, without initialize`
    : `both: modern (${MODERN_VERSION}) and legacy`;
}

function legacyRows({ versions, answersPing, http, secondSession, startMs }: LegacyFacts): readonly string[] {
  return [
    ...row("versions", versionsOf(versions)),
    ...versions.filter(({ refusal }) => refusal !== undefined).map(refusedLine),
    ...(http === undefined ? [] : httpRows(http)),
    ...(secondSession === undefined ? [] : row("at one time", SECOND[secondSession.verdict])),
    ...(secondSession?.reason === undefined ? [] : [`! ${secondSession.reason}`]),
    ...(startMs === undefined ? [] : row("starts in", `${startMs} ms`)),
    ...row("ping", answersPing ? "is answered" : "is not answered"),
  ];
}

const SECOND = {
  works: "several sessions",
  refused: "one session: a second is refused while there is a first",
  "ends the first": "one session: a second takes the place of the first",
  fatal: "one session: it took no other after a second was tried, and may have to be started again",
} as const;

function versionsOf(versions: readonly VersionFacts[]): string {
  const accepted = versions.filter(({ asked, answered }) => asked === answered).map(({ asked }) => asked);
  const instead = versions.flatMap(({ asked, answered }) =>
    answered === undefined || asked === answered ? [] : [answered],
  );
  const others = [...new Set(instead)].map((answered) => {
    const asked = versions.filter((version) => version.answered === answered && version.asked !== answered);
    return `${asked.map((version) => version.asked).join(", ")} answered with ${answered}`;
  });
  return [accepted.join(", "), ...others].filter((part) => part !== "").join("; ");
}

function refusedLine({ asked, refusal, isLost }: VersionFacts): string {
  return isLost === true
    ? `! ${asked} got no answer: ${refusal}; older versions were not tried`
    : `! ${asked} is refused: ${refusal}`;
}

function httpRows({
  answersAs,
  hasSessions,
  unknownSession,
  get,
  delete: end,
  eventIds,
  retryMs,
}: HttpFacts): readonly string[] {
  const ids = eventIds.post || eventIds.get;
  const retry = retryMs === undefined ? "" : `, and clients are to come back after ${retryMs} ms`;
  return [
    ...row("answers", answersAs === "stream" ? "as event streams" : "as JSON only"),
    ...row(
      "sessions",
      hasSessions
        ? `have an id; an unknown one is answered with HTTP ${unknownSession ?? "(nothing)"}; DELETE with HTTP ${end ?? "(nothing)"}`
        : "have no id",
    ),
    ...row("GET", getOf(get)),
    ...row("resumable", ids ? `events have ids${retry}` : `no: events have no ids${retry}`),
  ];
}

function getOf({ status, isStream }: HttpFacts["get"]): string {
  if (status === undefined) return "says nothing, not even a head";
  return isStream ? "opens a stream" : `is refused with HTTP ${status}`;
}

function capabilitiesOf({ capabilities }: Description): string {
  const named = Object.entries(capabilities).map(([name, value]) => {
    const details = typeof value === "object" && value !== null ? Object.keys(value) : [];
    return details.length === 0 ? name : `${name} (${details.join(", ")})`;
  });
  return named.join(", ") || "none";
}

function listsOf({ tools, prompts, resources, resourceTemplates }: Facts["listed"]): string {
  const counts = {
    tool: tools.length,
    prompt: prompts,
    resource: resources,
    "resource template": resourceTemplates,
  };
  return Object.entries(counts)
    .flatMap(([noun, number]) => (number === undefined ? [] : [count(number, noun)]))
    .join(", ");
}

function declaredLines(declared: Facts["declared"]): readonly string[] {
  if (declared === undefined) return [];
  const said = (names: readonly string[], what: string) =>
    names.length === 0 ? [] : [`! only for clients that declare ${what}: ${names.join(", ")}`];
  return [...said(declared.more, "elicitation, roots and sampling"), ...said(declared.less, "nothing")];
}

function toolLine(tool: ToolFacts): string {
  const said = sayings(tool);
  return `  ${tool.name}${said.length === 0 ? "" : `: ${said.join(", ")}`}`;
}

function sayings({
  readOnlyHint,
  destructiveHint,
  idempotentHint,
  openWorldHint,
  taskSupport,
  headerParams,
}: ToolFacts) {
  const hints: readonly (readonly [boolean | undefined, string, string])[] = [
    [readOnlyHint, "only reads", "changes things"],
    [destructiveHint, "destroys", "destroys nothing"],
    [idempotentHint, "may be repeated", "may not be repeated"],
    [openWorldHint, "reaches out", "stays inside"],
  ];
  return [
    ...hints.filter(([hint]) => hint !== undefined).map(([hint, yes, no]) => (hint ? yes : no)),
    ...(taskSupport === "optional" ? [`may be a task of ${TASKS_2025}`] : []),
    ...(taskSupport === "required"
      ? [`is a task of ${TASKS_2025} or nothing, so not for modern clients`]
      : []),
    ...(headerParams === "invalid" ? ["its x-mcp-header annotations break the rules and are ignored"] : []),
    ...(typeof headerParams === "number" ? [`${count(headerParams, "argument")} mirrored in headers`] : []),
  ];
}

function callLines({
  tool,
  acceptedMs,
  firstWordMs,
  progress,
  questions,
  endedMs,
  end,
}: CallFacts): readonly string[] {
  const last = progress.last === undefined ? "" : `, the last says ${JSON.stringify(progress.last)}`;
  return [
    `one call of ${tool}`,
    ...(acceptedMs === undefined ? [] : row("taken after", `${acceptedMs} ms`)),
    ...(firstWordMs === undefined ? [] : row("first word", `after ${firstWordMs} ms`)),
    ...row("progress", progress.count === 0 ? "none" : `${count(progress.count, "notification")}${last}`),
    ...questions.flatMap(({ method, message, answer, afterMs }) =>
      row(
        "asks",
        `${method} after ${afterMs} ms${message === undefined ? "" : ` ${JSON.stringify(message)}`}, ${answer}`,
      ),
    ),
    ...row("ended after", `${endedMs} ms ${endWords(end)}`),
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

function row(label: string, text: string): readonly string[] {
  return [`${label.padEnd(LABEL_WIDTH)}${text}`];
}

function shortened(text: string): string {
  return text.length > MAX_INSTRUCTIONS_CHARS ? `${text.slice(0, MAX_INSTRUCTIONS_CHARS)}…` : text;
}

import { expect, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { prettyLines } from "../../src/log/pretty.ts";
import { taskName } from "../../src/log/task-name.ts";
import { lines } from "../../src/observers/lines.ts";
import type { TaskRecord } from "../../src/store/task-store.ts";
import type { TaskEvent } from "../../src/tasks/task-event.ts";

const ID = "the-id-of-a-task";
const SECRET = "what a server or a client says";
const task = { id: ID, route: "reports", caller: SECRET, tool: "render", createdAt: 1_000 } as TaskRecord;
const result = `{"said":"${SECRET}"}` as never;
const error = { code: -32_000, message: SECRET };
const ours = { code: -32_603, message: `The server gave no answer: ${SECRET}` };
const refused = { kind: "refused", route: "reports", caller: "ada" } as const;

/** Each event with its line for people, if there is one at this level. */
const EVENTS: readonly (readonly [what: string, event: TaskEvent, line: string | undefined])[] = [
  ["a task", { kind: "created", task, isHeld: false, handleMs: 3 }, "INFO: TASK: render: began"],
  ["a call that is held", { kind: "created", task, isHeld: true, handleMs: 3 }, undefined],
  ["a call that is sent at once", { kind: "sent", task, queueMs: 3 }, undefined],
  [
    "a call that has waited",
    { kind: "sent", task, queueMs: 61_000 },
    "INFO: TASK: render: works, after 1 min 1 s of waiting",
  ],
  ["progress", { kind: "progress", task, progress: { progress: 1, message: SECRET } }, undefined],
  ["a question", { kind: "asked", task, questions: 1 }, "INFO: TASK: render: asks 1 question"],
  ["answers", { kind: "answered", task, answers: 2 }, "INFO: TASK: render: got 2 answers"],
  [
    "a client without tasks",
    { kind: "detached", task },
    "INFO: TASK: render: its client knows no tasks; the model is to ask for the result",
  ],
  ["a poll", { kind: "read", task, method: "tasks/get" }, undefined],
  ["a list", { kind: "listed", owner: task, ids: [ID] }, undefined],
  ["a takeover", { kind: "adopted", task }, "INFO: TASK: render: taken over from a gateway that stopped"],
  ["a task that is left", { kind: "left", task }, "INFO: TASK: render: left to another gateway"],
  ["a client that cancels", { kind: "cancelled", task, by: "client" }, undefined],
  [
    "a result",
    { kind: "ended", task, outcome: { kind: "completed", endedAt: 3_100, result } },
    "INFO: TASK: render: completed after 2.1 s",
  ],
  [
    "an error of the tool",
    { kind: "ended", task, outcome: { kind: "completed", endedAt: 3_100, result, failure: SECRET } },
    "INFO: TASK: render: completed after 2.1 s, with an error of the tool",
  ],
  [
    "an error of the server",
    { kind: "ended", task, outcome: { kind: "failed", endedAt: 1_040, error } },
    "WARN: TASK: render: failed after 40 ms: error -32000 of the server",
  ],
  [
    "an error of the gateway's own",
    { kind: "ended", task, outcome: { kind: "failed", endedAt: 1_040, error: ours, isOurs: true } },
    "WARN: TASK: render: failed after 40 ms: The server gave no answer",
  ],
  [
    "a cancelled task",
    {
      kind: "ended",
      task,
      outcome: { kind: "cancelled", endedAt: 1_040, reason: "Cancelled by the client" },
    },
    "INFO: TASK: render: cancelled after 40 ms: Cancelled by the client",
  ],
  [
    "a lost task",
    { kind: "ended", task, outcome: { kind: "lost", endedAt: 1_040, reason: "The gateway stopped" } },
    "WARN: TASK: render: lost after 40 ms. The gateway stopped",
  ],
  [
    "a limit",
    { ...refused, reason: "limit", limit: "limits.perCaller.calls", method: "tools/call", status: 429 },
    'WARN <ada>: limits.perCaller.calls: reports: a request was refused: the limit is reached {"method":"tools/call","status":429}',
  ],
  [
    "a credential",
    { ...refused, caller: undefined, reason: "no valid credential", status: 401 },
    'WARN: reports: a request was refused: it has no valid credential {"status":401}',
  ],
  [
    "another's task",
    { ...refused, reason: "foreign task", task: ID },
    "WARN <ada>: reports: a request was refused: it is about another caller's task",
  ],
  ["a task that has gone", { ...refused, reason: "unknown task", task: ID }, undefined],
];

test.each(EVENTS)("%s", (_, event, line) => {
  const told: string[] = [];
  const log = createLog("info", prettyLines({ write: (text) => void told.push(text) }, false));
  lines({ log, nameOf: (caller) => caller })(event);
  const expected = line?.replace("TASK", `reports: task ${taskName(ID)}`);
  expect(told.map((text) => text.trimEnd().replace(/^\[\d\d:\d\d:\d\d\] /, ""))).toEqual(
    expected === undefined ? [] : [expected],
  );
});

test("at debug there is a line for every event about a task but what its end says, and none with others' words", () => {
  const told: string[] = [];
  const log = createLog("debug", { write: (text) => void told.push(text) });
  const observe = lines({ log, nameOf: () => "a name" });
  for (const [, event] of EVENTS) observe(event);
  const kinds = new Set(told.map((text) => JSON.parse(text).event));
  expect([...kinds].sort()).toEqual([
    "adopted",
    "answered",
    "asked",
    "created",
    "detached",
    "ended",
    "left",
    "progress",
    "read",
    "refused",
    "sent",
  ]);
  expect(told.join("")).not.toContain(SECRET);
  expect(told.join("")).not.toContain(ID);
});

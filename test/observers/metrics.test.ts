import { expect, test } from "vitest";
import { Metrics } from "../../src/observers/metrics/metrics.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";

const LISTED = Array.from({ length: 300 }, (_, n) => `tool-${n}`);
const SECRET = "an-id-or-a-caller";

function metricsOf() {
  return new Metrics({
    version: "1.2.3",
    webhooks: [],
    servers: () => [
      {
        name: "reports",
        lists: (tool) => LISTED.includes(tool),
        sessions: () => 3,
        isThere: () => undefined,
        returns: () => 2,
      },
    ],
    reloads: { counts: { applied: 4 }, isGood: true },
    tasks: () => [
      { server: "reports", state: "working" },
      { server: "reports", state: "working" },
      { server: "reports", state: "input_required" },
    ],
    storedBytes: () => 10,
    unwrittenBytes: () => 20,
  });
}

function task(tool: string): TaskRecord {
  return {
    id: SECRET,
    caller: SECRET,
    owner: SECRET,
    route: "reports",
    tool,
    createdAt: 1_000,
  } as TaskRecord;
}

async function series(metrics: Metrics, name: string): Promise<readonly string[]> {
  const { text } = await metrics.scrape();
  return text.split("\n").filter((line) => line.startsWith(name));
}

test("a task is counted from its creation to its end, by what it came to", async () => {
  const metrics = metricsOf();
  const render = task("tool-1");
  const outcomes: readonly Outcome[] = [
    { kind: "completed", endedAt: 3_000, result: "{}" as never },
    { kind: "completed", endedAt: 3_000, result: "{}" as never, failure: "no" },
    { kind: "lost", endedAt: 500, reason: "" },
  ];
  metrics.observe({ kind: "created", task: { ...render, generation: "none" }, isHeld: false, handleMs: 20 });
  metrics.observe({ kind: "sent", task: render, queueMs: 700 });
  metrics.observe({ kind: "asked", task: render, questions: 2 });
  metrics.observe({ kind: "answered", task: render, answers: 1 });
  metrics.observe({ kind: "read", task: render, method: "tasks/get" });
  metrics.observe({ kind: "listed", owner: render, ids: [SECRET] });
  for (const outcome of outcomes) metrics.observe({ kind: "ended", task: render, outcome });

  const { text } = await metrics.scrape();
  const lines = text.split("\n");
  for (const line of [
    'taskgate_tasks_created_total{server="reports",tool="tool-1",generation="none"} 1',
    'taskgate_tasks_created_total{server="reports",tool="tool-1",generation="2026-07-28"} 0',
    'taskgate_tasks_ended_total{server="reports",tool="tool-1",outcome="completed"} 1',
    'taskgate_tasks_ended_total{server="reports",tool="tool-1",outcome="tool_error"} 1',
    'taskgate_tasks_ended_total{server="reports",tool="tool-1",outcome="lost"} 1',
    'taskgate_task_duration_seconds_bucket{server="reports",tool="tool-1",le="1"} 1',
    'taskgate_task_duration_seconds_bucket{server="reports",tool="tool-1",le="2"} 3',
    'taskgate_task_duration_seconds_sum{server="reports",tool="tool-1"} 4',
    'taskgate_task_queue_seconds_bucket{server="reports",le="0.5"} 0',
    'taskgate_task_queue_seconds_bucket{server="reports",le="1"} 1',
    'taskgate_task_handle_seconds_bucket{server="reports",le="0.02"} 1',
    'taskgate_questions_total{server="reports",tool="tool-1"} 2',
    'taskgate_answers_total{server="reports"} 1',
    'taskgate_task_reads_total{server="reports",mcp_method_name="tasks/get"} 1',
    'taskgate_task_reads_total{server="reports",mcp_method_name="tasks/list"} 1',
    'taskgate_tasks{server="reports",state="working"} 2',
    'taskgate_tasks{server="reports",state="queued"} 0',
    'taskgate_upstream_sessions{server="reports"} 3',
    'taskgate_upstream_restarts_total{server="reports"} 2',
    "taskgate_store_unwritten_bytes 20",
    `taskgate_build_info{version="1.2.3",node="${process.version}"} 1`,
  ])
    expect(lines).toContain(line);
  expect(text).not.toContain(SECRET);
  expect(text).not.toContain("taskgate_upstream_up{");
  expect(text).toContain("nodejs_eventloop_lag_p99_seconds ");
});

test("a tool has a label of its own if the server lists it, and so have 200 at most", async () => {
  const metrics = metricsOf();
  for (const tool of ["not listed", "nor this", ...LISTED])
    metrics.observe({ kind: "asked", task: task(tool), questions: 1 });
  const counted = await series(metrics, "taskgate_questions_total{");
  expect(counted).toHaveLength(201);
  expect(counted).toContain('taskgate_questions_total{server="reports",tool="_other"} 102');
});

test("requests are timed by method and tool, and strangers make up neither those nor errors", async () => {
  const metrics = metricsOf();
  const call = (name: unknown) => ({ method: "tools/call", params: { name } });
  metrics.answered("reports", call("tool-1"), undefined, 40);
  metrics.answered("reports", call("tool-1"), -32_602, 1);
  for (const name of ["made up", 7, undefined]) metrics.answered("reports", call(name), 12_345, 1);
  for (const message of [{ method: "made/up" }, {}, [], "text", null, undefined])
    metrics.answered("reports", message, undefined, 1);
  metrics.answered("nobody", call("tool-1"), undefined, 1);
  expect(await series(metrics, "mcp_server_operation_duration_seconds_count")).toEqual(
    [
      'mcp_method_name="tools/call",gen_ai_tool_name="tool-1"} 1',
      'mcp_method_name="tools/call",gen_ai_tool_name="tool-1",error_type="-32602"} 1',
      'mcp_method_name="tools/call",gen_ai_tool_name="_other",error_type="_OTHER"} 3',
      'mcp_method_name="_other"} 6',
    ].map((rest) => `mcp_server_operation_duration_seconds_count{server="reports",${rest}`),
  );
  const buckets = await series(metrics, "mcp_server_operation_duration_seconds_bucket");
  expect(buckets.slice(0, 15).map((line) => /le="(.*)"/.exec(line)?.[1])).toEqual(
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, "+Inf"].map(String),
  );
});

test("refusals are counted by limit, of which a server's errors may make up many", async () => {
  const metrics = metricsOf();
  const refused = { kind: "refused", route: "reports", caller: SECRET, reason: "limit" } as const;
  for (let n = 0; n < 100; n += 1) metrics.observe({ ...refused, limit: `limit-${n}` });
  metrics.observe({ ...refused, limit: "limit-0" });
  metrics.observe({ ...refused, reason: "forbidden" });
  const counted = await series(metrics, "taskgate_refusals_total{");
  expect(counted.length).toBeLessThanOrEqual(53);
  expect(counted).toContain('taskgate_refusals_total{server="reports",reason="limit",limit="limit-0"} 2');
  expect(counted).toContain('taskgate_refusals_total{server="reports",reason="limit",limit="_other"} 50');
});

test("what the store does is timed, and whether it answers", async () => {
  const metrics = metricsOf();
  metrics.stored("read", 3, false);
  expect(await series(metrics, "taskgate_store_up")).toEqual(["taskgate_store_up 1"]);
  metrics.stored("write", 2_000, true);
  const { text } = await metrics.scrape("application/openmetrics-text");
  const lines = text.split("\n");
  expect(lines).toContain("taskgate_store_up 0");
  expect(lines).toContain("# TYPE taskgate_store_failures counter");
  expect(lines).toContain("taskgate_store_failures_total 1");
  expect(lines).toContain('taskgate_store_operation_duration_seconds_bucket{operation="read",le="0.005"} 1');
  expect(lines).toContain('taskgate_store_operation_duration_seconds_bucket{operation="read",le="0.002"} 0');
});

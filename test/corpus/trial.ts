import type { TaskEnabledSession } from "@modelcontextprotocol/ext-tasks/client";
import type { Programs } from "../demo/programs.ts";
import { connect } from "../demo/task-session.ts";
import { answering, call, told, toldOfTask } from "./calls.ts";
import { callDirectly } from "./direct.ts";
import type { Place, Plan, Row } from "./row.ts";
import { programOf, startGateway, startServer } from "./start.ts";

/** What was seen, in words for the table. */
export type Findings = Readonly<Record<Finding, string>>;
export type Finding = "era" | "tools" | "quick" | "tasks" | "question" | "direct";

export interface Trial {
  readonly findings: Findings;
  /** Empty when everything was as expected. */
  readonly problems: readonly string[];
}

/** Runs a row: what it plans with the gateway, and beside that what it plans without. */
export async function run(row: Row, place: Place, programs: Programs): Promise<Trial> {
  const seen = new Observer();
  const plan = row.plan(place);
  const { direct } = plan;
  const trials = [seen.look("era", () => throughGateway(row, plan, place, programs, seen))];
  if (direct !== undefined)
    trials.push(seen.look("direct", () => callDirectly(programOf(row, plan), direct)));
  await Promise.all(trials);
  return seen;
}

/** Writes down what is seen. A look that fails is written down as well, and nothing else fails for it. */
class Observer implements Trial {
  readonly findings: Record<Finding, string> = {
    era: "–",
    tools: "–",
    quick: "–",
    tasks: "–",
    question: "–",
    direct: "–",
  };
  readonly problems: string[] = [];

  async look(finding: Finding, see: () => Promise<string>): Promise<void> {
    try {
      this.findings[finding] = await see();
    } catch (error) {
      this.findings[finding] = "**failed**";
      this.problems.push(`${finding}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Starts the server and the gateway in front of it, calls what is planned, and ends both. Gives what the gateway says of the server. */
async function throughGateway(
  row: Row,
  plan: Plan,
  place: Place,
  programs: Programs,
  seen: Observer,
): Promise<string> {
  const server = row.transport === "stdio" ? undefined : await startServer(row, plan, programs);
  try {
    const { program: gateway, url, era } = await startGateway(row, place, plan, programs);
    try {
      await useGateway(url, plan, seen);
      return era;
    } finally {
      await gateway.stop();
    }
  } finally {
    await server?.stop();
  }
}

async function useGateway(url: string, plan: Plan, seen: Observer): Promise<void> {
  const questions = { count: 0 };
  const connected = await connect(url, answering(questions));
  try {
    const listed = async () => (await connected.client.listTools()).tools.length;
    await seen.look("tools", async () => String(await listed()));
    await callAll(connected.tasks, plan, questions, seen);
    // Calls have sessions of their own, and some servers have room for one.
    await seen.look("tools", async () => {
      const count = String(await listed());
      const before = seen.findings.tools;
      if (count !== before) throw new Error(`${count} after the calls, and ${before} before`);
      return count;
    });
  } finally {
    await connected.close();
  }
}

async function callAll(
  session: TaskEnabledSession,
  { quick, tasks, question }: Plan,
  questions: { readonly count: number },
  seen: Observer,
): Promise<void> {
  if (quick !== undefined) await seen.look("quick", async () => told(await call(session, quick)));
  await seen.look("tasks", async () => {
    const all: string[] = [];
    for (const task of tasks) all.push(toldOfTask(await call(session, task)));
    return all.join("; ");
  });
  if (question === undefined) return;
  await seen.look("question", async () => {
    const answered = toldOfTask(await call(session, question));
    if (questions.count === 0) throw new Error("nothing was asked");
    return answered;
  });
}

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GATEWAY_COMMAND, type Program, type Programs } from "../demo/programs.ts";
import { installed } from "./packages.ts";
import type { Place, Plan, Row } from "./row.ts";

const RESTARTING = join(import.meta.dirname, "restarting.mjs");
const LISTENS = /listening (on|at)|running on port/i;
/** `default  http://127.0.0.1:8080/mcp → node server.js  legacy 2025-06-18  memory:` */
const START_LINE = /(http:\S+) → .*? {2}(\S.*?) {2}.*\n/;

/** Starts a server that listens, in the way its documentation says. */
export function startServer(row: Row, plan: Plan, programs: Programs): Promise<Program> {
  const { command, args, env } = programOf(row, plan);
  const script = plan.isRestarted ? [RESTARTING, ...args] : args;
  return programs.start(row.folder, script, { ready: LISTENS, env, node: command });
}

/**
 * Starts the gateway in front of the server of a row, and gives it with its URL and what it found the server to be. It has a file for
 * settings: what some servers need has no flag.
 */
export async function startGateway(
  row: Row,
  { folder, port }: Place,
  plan: Plan,
  programs: Programs,
): Promise<{ readonly program: Program; readonly url: string; readonly era: string }> {
  const { path = row.transport === "sse" ? "/sse" : "/mcp", sessions } = plan;
  const upstream =
    row.transport === "stdio"
      ? programOf(row, plan)
      : { url: `http://localhost:${port}${path}`, ...(sessions === undefined ? {} : { sessions }) };
  const calls = [...plan.tasks, ...(plan.question === undefined ? [] : [plan.question])];
  const tools = calls.filter(({ always }) => always).map(({ tool }) => ({ match: tool, mode: "always" }));
  const config = {
    listen: { port: 0 },
    store: { url: "memory:" },
    limits: { drainTimeout: "0ms" },
    log: { level: "error" },
    servers: { corpus: { upstream, tools } },
  };
  const file = join(folder, "taskgate.json");
  await writeFile(file, JSON.stringify(config));
  const program = await programs.start("the gateway", [GATEWAY_COMMAND, "--config", file], {
    ready: START_LINE,
  });
  const [, url = "", era = ""] = program.ready;
  return { program, url, era };
}

/** What starts the server. */
export function programOf({ folder }: Row, { script, args = [], env = {}, node = process.execPath }: Plan) {
  return { command: node, args: [installed(folder, script), ...args], env };
}

/**
 * What clients of today make of a tool that takes long: each calls one that takes 75 s and one that takes ten minutes, at the server, through the
 * gateway, and through the gateway with `fallback: tools`. Prints a table and puts it into docs/clients.md. Takes twelve minutes, most of them asleep.
 *
 *   npm run clients -- [--only TEXT] [--seconds 75,600]     with either of them it writes nothing
 */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { installFolder } from "../peers/npm-ci.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { serveLegacy } from "../support/legacy-http.ts";

/** Apart from this file, so that it has the project's own SDK. */
const FOLDER = join(import.meta.dirname, "programs");
const DRIVERS = join(FOLDER, "drivers.mjs");
const PAGE = join(import.meta.dirname, "../../docs/clients.md");
const [BEGIN, END] = ["<!-- npm run clients -->", "<!-- end -->"];
const DEFAULT_SECONDS = "75,600";
/** A client that has not ended so long after its tool is given up. */
const PATIENCE_MS = 180_000;
/** So that the programs do not all start at once. */
const APART_MS = 1_000;
const MAX_PRINTED = 100_000;
const WAYS = ["at the server", "through the gateway", "with the fallback"] as const;

interface End {
  /** Whether the client got the tool's own result. */
  readonly result?: boolean;
  /** What it got instead. */
  readonly lost?: string;
  /** After the call. Absent: the client never got so far. */
  readonly seconds?: number;
}

const { only, seconds } = parseArgs({
  options: { only: { type: "string" }, seconds: { type: "string" } },
}).values;
if (!installFolder(FOLDER)) process.exit(1);
const { DRIVERS: drivers } = (await import(DRIVERS)) as { readonly DRIVERS: object };
const clients = Object.keys(drivers).filter((name) => only === undefined || name.includes(only));
const durations = (seconds ?? DEFAULT_SECONDS).split(",").map(Number);
if (clients.length === 0) throw new Error(`--only: no client has "${only}" in its name`);

const cleanUps: (() => Promise<unknown>)[] = [];
process.once("SIGINT", () => void cleanUp().then(() => process.exit(130)));
process.once("SIGTERM", () => void cleanUp().then(() => process.exit(143)));
try {
  const addresses = await open();
  const rows: Promise<string>[] = [];
  for (const client of clients) {
    const ends: Promise<End>[] = [];
    for (const ms of durations.map((each) => each * 1_000)) {
      for (const url of addresses) {
        ends.push(run(client, url, ms));
        await sleep(APART_MS);
      }
    }
    rows.push(Promise.all(ends).then((all) => row(client, all)));
  }
  const table = [...head(), ...(await Promise.all(rows))].join("\n");
  console.log(table);
  if (only === undefined && seconds === undefined) await keep(table);
} finally {
  await cleanUp();
}

async function cleanUp(): Promise<void> {
  for (const each of cleanUps.splice(0).reverse()) await each();
}

/** A server with one slow tool, and a gateway with two ways to it. The addresses are those of `WAYS`, in their order. */
async function open(): Promise<readonly URL[]> {
  const server = await serveLegacy(slowServer);
  cleanUps.push(() => server.close());
  const folder = await mkdtemp(join(tmpdir(), "taskgate-clients-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  const upstream = { url: server.url.href };
  const config = {
    listen: { port: 0 },
    store: { url: "memory:" },
    log: { level: "error" },
    servers: { plain: { upstream }, fallback: { upstream, tasks: { fallback: "tools" } } },
  };
  const file = join(folder, "taskgate.json");
  await writeFile(file, JSON.stringify(config));
  const atEnd = (each: () => Promise<void>) => void cleanUps.push(each);
  const gateway = await startGatewayProcess(["--config", file], { atEnd, routes: 2 });
  return [server.url, ...gateway.urls];
}

function slowServer(): Server {
  const server = new Server({ name: "slow", version: "1.0.0" }, { capabilities: { tools: {} } });
  const inputSchema = { type: "object" as const, properties: { ms: { type: "number" } }, required: ["ms"] };
  const work = { name: "work", description: "Works for so many milliseconds.", inputSchema };
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [work] }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal }) => {
    await sleep(Number(params.arguments?.ms), undefined, { signal });
    return { content: [{ type: "text", text: "the work is done" }] };
  });
  return server;
}

/** One client in a program of its own, because libraries have time-outs and sessions for a whole process. */
function run(client: string, url: URL, ms: number): Promise<End> {
  const child = spawn(process.execPath, [DRIVERS, client, url.href, String(ms)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let printed = "";
  child.stdout.on("data", (chunk) => {
    printed = `${printed}${chunk}`.slice(-MAX_PRINTED);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), ms + PATIENCE_MS);
  cleanUps.push(async () => void child.kill("SIGKILL"));
  return new Promise((resolve) => {
    child.once("close", () => {
      clearTimeout(timer);
      const said = printed.split("\n").findLast((line) => line.startsWith("{"));
      const end: End = said === undefined ? { lost: "it said nothing" } : JSON.parse(said);
      console.log(
        `${client} · ${url.pathname} · ${ms / 1_000} s: ${end.lost ?? "the result"} after ${end.seconds} s`,
      );
      resolve(end);
    });
  });
}

function head(): readonly string[] {
  const columns = durations.flatMap((each) => WAYS.map((way) => `${inWords(each)}, ${way}`));
  return [
    ["client", ...columns],
    ["---", ...columns.map(() => "---")],
  ].map(line);
}

function row(client: string, ends: readonly End[]): string {
  return line([
    client,
    ...ends.map(({ result, seconds: after }) => (result ? "result" : `lost after ${after ?? "?"} s`)),
  ]);
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function inWords(each: number): string {
  return each % 60 === 0 ? `${each / 60} min` : `${each} s`;
}

async function keep(table: string): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const [before, rest] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  const date = new Date().toISOString().slice(0, 10);
  const facts = `Written by \`npm run clients\` on ${date}, Node ${process.version}, a server of SDK 1.32 over Streamable HTTP.`;
  await writeFile(PAGE, `${before}${BEGIN}\n\n${facts}\n\n${table}\n\n${rest}`);
}

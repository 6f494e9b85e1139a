import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Holdings, holdings } from "../soak/probe.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { startAnsweringServer } from "./answering-server.ts";
import { startAnsweringSse } from "./answering-sse.ts";
import { LOOP_PROBED } from "./loop-probe.ts";

/** The built gateway in front of servers that answer as they should, and of the same ones that do not. */
export interface Stage {
  readonly port: number;
  readonly stderr: string;
  /** `undefined` while it runs. */
  readonly exit: string | undefined;
  /** How many answers had something wrong with them. */
  mutated(): Promise<number>;
  holdings(): Promise<Holdings>;
  /** CPU time of the longest turn of its loop since the last time, in ms; 0 when it has ended. */
  longestTurn(): Promise<number>;
  close(): Promise<void>;
}

/** The route of the client that does nothing wrong, with more time for its tasks than it takes on a machine that does other things too. */
export const HONEST = "honest";
/** Routes whose servers do nothing wrong. */
export const STEADY = ["steady", "steady-modern", "steady-stdio"] as const;
export const ODD = ["odd", "odd-modern", "odd-sse", "odd-stdio"] as const;
const STDIO = fileURLToPath(new URL("answering-stdio.ts", import.meta.url));

export interface StageOptions {
  readonly seed: number;
  /** Of a hundred answers of odd servers, how many have something wrong with them. */
  readonly percent: number;
  /** Without processes, most of whose time is their beginning. */
  readonly isBrief: boolean;
}

export async function openStage({ seed, percent, isBrief }: StageOptions): Promise<Stage> {
  const cleanUp: (() => Promise<unknown>)[] = [];
  const folder = await mkdtemp(join(tmpdir(), "taskgate-fuzz-"));
  cleanUp.push(() => rm(folder, { recursive: true, force: true }));
  const counter = join(folder, "count");
  await writeFile(counter, "");
  const close = async () => {
    for (const end of cleanUp.splice(0).reverse()) await end();
  };
  try {
    const servers = await Promise.all([
      startAnsweringServer({ seed, era: "legacy", percent: 0 }),
      startAnsweringServer({ seed, era: "modern", percent: 0 }),
      startAnsweringServer({ seed, era: "legacy", percent }),
      startAnsweringServer({ seed, era: "modern", percent }),
      startAnsweringSse({ seed, percent }),
    ]);
    for (const server of servers) cleanUp.push(() => server.close());
    const [steady, steadyModern, odd, oddModern, oddSse] = servers;
    const command = (share: number) => ({
      command: process.execPath,
      args: ["--import", import.meta.resolve("tsx"), STDIO, `${seed}`, `${share}`, counter],
      // To begin again is what costs most: nobody has to leave for somebody else.
      maxSessions: 24,
      idleTimeout: "20s",
      startTimeout: "20s",
    });
    const upstreams = {
      [HONEST]: { url: steady.url, transport: "streamable-http" },
      steady: { url: steady.url, transport: "streamable-http" },
      "steady-modern": { url: steadyModern.url },
      ...(isBrief ? {} : { "steady-stdio": command(0), "odd-stdio": command(percent) }),
      odd: { url: odd.url, transport: "streamable-http" },
      "odd-modern": { url: oddModern.url },
      "odd-sse": { url: oddSse.url, transport: "sse" },
    };
    const tasks = {
      waitFor: "50ms",
      ttl: "5s",
      maxRuntime: "3s",
      pollInterval: "100ms",
      maxPollInterval: "100ms",
    };
    const limits = {
      maxBody: "1mb",
      drainTimeout: "1s",
      total: { streams: 100_000, sessions: 50_000 },
      perCaller: { calls: "none", polls: "none", tasks: 5_000 },
    };
    const config = {
      listen: { port: 0 },
      store: { url: "memory:" },
      // Everybody is the same caller here, and many.
      limits,
      log: { level: "warn", audit: false },
      servers: Object.fromEntries(
        Object.entries(upstreams).map(([name, upstream]) => [
          name,
          {
            upstream: { idleTimeout: "2s", startTimeout: "5s", ...upstream },
            tasks: name === HONEST ? { ...tasks, ttl: "1m", maxRuntime: "1m" } : tasks,
          },
        ]),
      ),
    };
    const file = join(folder, "taskgate.json");
    await writeFile(file, JSON.stringify(config));
    const gateway = await startGatewayProcess(["--config", file], {
      atEnd: (end) => void cleanUp.push(end),
      nodeFlags: [...LOOP_PROBED, "--unhandled-rejections=strict", "--trace-warnings"],
      routes: Object.keys(upstreams).length,
    });
    // Also when somebody has had enough of it.
    const kill = () => void gateway.child.kill("SIGKILL");
    process.once("exit", kill);
    cleanUp.push(async () => process.off("exit", kill));
    let exit: string | undefined;
    void gateway.exited.then(({ code, signal }) => {
      exit = `ended with ${signal ?? code}`;
    });
    // One question at a time, because answers do not say what they answer.
    let asked: Promise<unknown> = Promise.resolve();
    const ask = <A>(question: string): Promise<A> => {
      const answer = asked.then(async () => {
        const over = new AbortController();
        const answered = once(gateway.child, "message", { signal: over.signal });
        void gateway.exited.then(() => over.abort());
        gateway.child.send(question, () => {});
        const [message] = await answered;
        return message.answer as A;
      });
      asked = answer.catch(() => {});
      return answer;
    };
    return {
      port: Number(gateway.url.port),
      get stderr() {
        return gateway.stderr;
      },
      get exit() {
        return exit;
      },
      mutated: async () =>
        odd.mutated + oddModern.mutated + oddSse.mutated + (await readFile(counter)).length,
      holdings: () => holdings({ pid: gateway.pid, ask }),
      longestTurn: () => ask<number>("longest").catch(() => 0),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

import type { Effort } from "./effort.ts";
import type { Flooded } from "./flooder.ts";
import type { Lab } from "./lab.ts";
import type { Polled } from "./pollers.ts";
import { atMost, type Line, median, medianRatio, milliseconds, perSecond, ratioLine } from "./report.ts";

const CALLERS = 2_000;
const TASKS_EACH = 5;
const INTERVAL_MS = 4_000;
const CONNECTIONS = 128;
const MAX_ROUNDS = 3;
const AIM = 2;

/**
 * Whether callers that poll as often as they were told notice that another one floods: the same polls with and without it, in turns.
 * What a call costs its server is not part of it: one call of each caller is made and never answered, and the others wait.
 */
export async function measureFairness(lab: Lab, { rounds }: Effort): Promise<Line[]> {
  const silent = await lab.server("silent");
  const gateway = await lab.gateway({
    upstream: silent.url,
    store: "memory",
    tasks: { mode: "always", maxConcurrent: 1, pollInterval: `${INTERVAL_MS}ms`, maxPollInterval: "10s" },
    callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
    limits: {},
  });
  const [pollers, flooder] = [await lab.client("pollers"), await lab.client("flooder")];
  const { port, pathname: path } = new URL(gateway.url);
  const at = { port: Number(port), path };
  await pollers.ask({ kind: "begin", ...at, callers: CALLERS, tasksEach: TASKS_EACH });
  const poll = () => pollers.ask<Polled>({ kind: "poll", intervalMs: INTERVAL_MS, times: 1 });
  const flood = () => flooder.ask<Flooded>({ ...at, connections: CONNECTIONS, forMs: INTERVAL_MS });
  await poll();
  const quiet: Round[] = [];
  const flooded: Round[] = [];
  const floods: Flooded[] = [];
  const measured = async <T>(work: () => Promise<T>): Promise<{ cpuMs: number; result: T }> => {
    const before = await gateway.probe.cpuMs();
    const result = await work();
    return { result, cpuMs: (await gateway.probe.cpuMs()) - before };
  };
  for (let round = 0; round < Math.min(rounds, MAX_ROUNDS); round += 1) {
    const alone = await measured(poll);
    quiet.push({ ...alone.result, cpuMs: alone.cpuMs });
    const { result, cpuMs } = await measured(() => Promise.all([poll(), flood()]));
    flooded.push({ ...result[0], cpuMs });
    floods.push(result[1]);
  }
  for (const program of [flooder, pollers, gateway.program, silent.program]) await program.stop();
  return lines(quiet, flooded, floods);
}

interface Round extends Polled {
  /** What the gateway worked. */
  readonly cpuMs: number;
}

function lines(quiet: readonly Round[], flooded: readonly Round[], floods: readonly Flooded[]): Line[] {
  const [p50, p99, cpu] = [(one: Round) => one.p50Ms, (one: Round) => one.p99Ms, (one: Round) => one.cpuMs];
  const ratio = (of: (one: Round) => number) => medianRatio(flooded.map(of), quiet.map(of));
  const seconds = INTERVAL_MS / 1_000;
  const share = ({ answers, refused }: Flooded) => `${Math.round((100 * refused) / answers)} %`;
  const failed = [...quiet, ...flooded].reduce((sum, one) => sum + one.failed, 0);
  return [
    { what: "the others poll", value: perSecond(median(quiet.map(({ polls }) => polls)) / seconds) },
    { what: "of them without an answer", value: String(failed), aim: atMost("0", 0, failed) },
    {
      what: "the flooder is answered",
      value: perSecond(median(floods.map(({ answers }) => answers)) / seconds),
    },
    { what: "of it refused", value: floods.map(share).join(", ") },
    { what: "the gateway's work in a second, quiet", value: milliseconds(median(quiet.map(cpu)) / seconds) },
    ratioLine("the gateway's work, flooded / quiet", ratio(cpu), false),
    { what: "p50, quiet", value: milliseconds(median(quiet.map(p50))) },
    { what: "p50, flooded", value: milliseconds(median(flooded.map(p50))) },
    ratioLine("p50, flooded / quiet", ratio(p50), false),
    { what: "p99, quiet", value: milliseconds(median(quiet.map(p99))) },
    { what: "p99, flooded", value: milliseconds(median(flooded.map(p99))) },
    ratioLine("p99, flooded / quiet", ratio(p99), false, atMost(`${AIM}×`, AIM, ratio(p99))),
  ];
}

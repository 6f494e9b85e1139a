import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Load, Measured } from "./measure.ts";
import {
  atLeast,
  atMost,
  type Line,
  median,
  medianRatio,
  microseconds,
  milliseconds,
  perSecond,
  ratioLine,
} from "./report.ts";
import { legacy, modern, openLegacySession, type Request } from "./requests.ts";

const IN_FLIGHT = 16;
/** On a machine that is busy with something else, a call that stalls is a slow one, and no task. */
const PATIENT = { waitFor: "10s" };
const ECHO = { name: "echo", arguments: { text: "hello" } };

interface Contestant {
  readonly name: string;
  readonly target: Target;
  readonly requests: readonly Request[];
  /** Whether it knows its own time, and all that it does is done in its process. */
  readonly isProbed: boolean;
  readonly alone: Measured[];
  readonly together: Measured[];
  /** Of each call that was made together, in milliseconds. */
  readonly cpuMs: number[];
}

/**
 * What a short call costs on its way through the gateway: a legacy client calls the server itself, a modern client the
 * same server through the gateway. The floor is the least that any bridge written in Node costs. The other bridge there is, mcp-proxy, is
 * measured as it is meant to be used, with the server over stdio, which is the cheaper way; and with its library in front of the very
 * server the gateway has.
 */
export async function measureCalls(lab: Lab, { rounds, warmUp, callMs }: Effort): Promise<Line[]> {
  const server = await lab.server("echo");
  const sessionId = await openLegacySession(server.url);
  const asModern = (name: string, target: Target, isProbed = true) =>
    contestant(name, target, isProbed, (id) => modern(id, "tools/call", ECHO));
  const direct = contestant("direct", server, false, (id) => legacy(sessionId, id, "tools/call", ECHO));
  const floor = asModern("floor", await lab.probed("floor", server.url));
  const gateway = asModern(
    "gateway",
    await lab.gateway({ upstream: server.url, store: "memory", tasks: PATIENT }),
  );
  const proxy = asModern("mcp-proxy (stdio)", await lab.mcpProxy("echo-stdio"), false);
  const proxyHttp = asModern("mcp-proxy (HTTP)", await lab.probed("mcp-proxy", server.url));
  const contestants = [direct, floor, gateway, proxy, proxyHttp];

  for (const one of contestants) await load(one, { connections: IN_FLIGHT, ...warmUp });
  for (let round = 0; round < rounds; round += 1) {
    // In the other direction every other time: whoever comes after whom makes a difference.
    contestants.reverse();
    for (const one of contestants) {
      one.alone.push(await load(one, { connections: 1, forMs: callMs }));
      const before = await cpuMsOf(one);
      const together = await load(one, { connections: IN_FLIGHT, forMs: callMs });
      one.together.push(together);
      one.cpuMs.push(((await cpuMsOf(one)) - before) / together.count);
    }
  }
  for (const { target } of [proxyHttp, proxy, gateway, floor, direct]) await target.program.stop();
  return lines({ direct, floor, gateway, proxy, proxyHttp });
}

function contestant(
  name: string,
  target: Target,
  isProbed: boolean,
  request: (id: number) => Request,
): Contestant {
  const requests = Array.from({ length: IN_FLIGHT }, (_, index) => request(index + 1));
  return { name, target, requests, isProbed, alone: [], together: [], cpuMs: [] };
}

type Amount = Pick<Load, "connections" | "forMs" | "atMost">;

function load({ target, requests }: Contestant, amount: Amount): Promise<Measured> {
  return target.load({ ...amount, requests, expected: '"text":"hello"' });
}

async function cpuMsOf({ target, isProbed }: Contestant): Promise<number> {
  return isProbed ? target.probe.cpuMs() : Number.NaN;
}

interface Contestants {
  readonly direct: Contestant;
  readonly floor: Contestant;
  readonly gateway: Contestant;
  readonly proxy: Contestant;
  readonly proxyHttp: Contestant;
}

interface Quantity {
  readonly what: string;
  readonly of: (one: Contestant) => number[];
  readonly isMoreBetter?: boolean;
  /** What the gateway is to be, divided by the server itself. */
  readonly aimOf?: (ratio: number) => Line["aim"];
}

const p50: Quantity = {
  what: "p50",
  of: ({ alone }) => alone.map(({ p50Ms }) => p50Ms),
  aimOf: (ratio) => atMost("2×", 2, ratio),
};
const rate: Quantity = {
  what: "throughput",
  of: ({ together }) => together.map((measured) => measured.perSecond),
  isMoreBetter: true,
  aimOf: (ratio) => atLeast(0.8, ratio),
};
const QUANTITIES: readonly Quantity[] = [
  p50,
  { what: "p99", of: ({ alone }) => alone.map(({ p99Ms }) => p99Ms) },
  rate,
];

function lines({ direct, floor, gateway, proxy, proxyHttp }: Contestants): Line[] {
  const cpu = (one: Contestant) => medianRatio(one.cpuMs, floor.cpuMs);
  const toProxy = medianRatio(rate.of(gateway), rate.of(proxy));
  return [
    { what: "direct: p50, one at a time", value: milliseconds(median(p50.of(direct))) },
    { what: `direct: throughput, ${IN_FLIGHT} in flight`, value: perSecond(median(rate.of(direct))) },
    { what: "floor: CPU a call", value: microseconds(median(floor.cpuMs)) },
    { what: "gateway: CPU a call", value: microseconds(median(gateway.cpuMs)) },
    ratioLine("CPU: gateway / floor", cpu(gateway), false, atMost("1.6×", 1.6, cpu(gateway))),
    ratioLine("CPU: mcp-proxy (HTTP) / floor", cpu(proxyHttp), false),
    ...QUANTITIES.flatMap(({ what, of, isMoreBetter = false, aimOf }) =>
      [gateway, floor, proxy, proxyHttp].map((one) => {
        const ratio = medianRatio(of(one), of(direct));
        const aim = one === gateway ? aimOf?.(ratio) : undefined;
        return ratioLine(`${what}: ${one.name} / direct`, ratio, isMoreBetter, aim);
      }),
    ),
    ratioLine("throughput: gateway / mcp-proxy (stdio)", toProxy, true, atLeast(2, toProxy)),
  ];
}

import { freePort } from "../demo/programs.ts";
import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Measured } from "./measure.ts";
import { type Line, median, medianRatio, milliseconds, perSecond, times } from "./report.ts";
import { legacy, modern, openLegacySession, type Request } from "./requests.ts";

const IN_FLIGHT = 16;
/** On a machine that is busy with something else, a call that stalls is a slow one, and no task. */
const PATIENT = { waitFor: "10s" };
const ECHO = { name: "echo", arguments: { text: "hello" } };

interface Contestant {
  readonly target: Target;
  readonly requests: readonly Request[];
  readonly alone: Measured[];
  readonly together: Measured[];
}

/**
 * What a short call costs on its way through the gateway: a legacy client calls the server itself, a modern client the
 * same server through the gateway. The other bridge there is, mcp-proxy, is measured as it is meant to be used, with the
 * server over stdio, which is the cheaper way; and with its library in front of the very server the gateway has.
 */
export async function measureCalls(lab: Lab, { rounds, warmUpMs, callMs }: Effort): Promise<Line[]> {
  const server = await lab.server("echo");
  const sessionId = await openLegacySession(server.url);
  const asModern = (target: Target) => contestant(target, (id) => modern(id, "tools/call", ECHO));
  const direct = contestant(server, (id) => legacy(sessionId, id, "tools/call", ECHO));
  const gateway = asModern(await lab.gateway({ upstream: server.url, store: "memory", tasks: PATIENT }));
  const proxy = asModern(await lab.mcpProxy("echo-stdio"));
  const proxyHttp = asModern(await lab.server("mcp-proxy", [String(await freePort()), server.url]));
  const contestants = [direct, gateway, proxy, proxyHttp];

  for (const one of contestants) await load(one, IN_FLIGHT, warmUpMs);
  for (let round = 0; round < rounds; round += 1) {
    for (const one of contestants) {
      one.alone.push(await load(one, 1, callMs));
      one.together.push(await load(one, IN_FLIGHT, callMs));
    }
  }
  for (const { target } of contestants.reverse()) await target.program.stop();
  return lines(direct, gateway, { proxy, proxyHttp });
}

function contestant(target: Target, request: (id: number) => Request): Contestant {
  const requests = Array.from({ length: IN_FLIGHT }, (_, index) => request(index + 1));
  return { target, requests, alone: [], together: [] };
}

function load({ target, requests }: Contestant, connections: number, forMs: number): Promise<Measured> {
  return target.load({ connections, requests, forMs, expected: '"text":"hello"' });
}

function lines(
  direct: Contestant,
  gateway: Contestant,
  { proxy, proxyHttp }: { proxy: Contestant; proxyHttp: Contestant },
): Line[] {
  const p50 = ({ alone }: Contestant) => alone.map(({ p50Ms }) => p50Ms);
  const p99 = ({ alone }: Contestant) => alone.map(({ p99Ms }) => p99Ms);
  const rate = ({ together }: Contestant) => together.map((measured) => measured.perSecond);
  const compare = (what: string, value: (one: Contestant) => number[], isMoreBetter: boolean): Line[] => {
    const [mine = 0, theirs = 0, theirsHttp = 0] = [gateway, proxy, proxyHttp].map((one) =>
      medianRatio(value(one), value(direct)),
    );
    const aim = {
      text: `${isMoreBetter ? ">" : "<"} ${times(theirs)}`,
      isMet: isMoreBetter ? mine > theirs : mine < theirs,
    };
    return [
      { what: `${what}: gateway / direct`, value: times(mine), aim },
      { what: `${what}: mcp-proxy (stdio) / direct`, value: times(theirs) },
      { what: `${what}: mcp-proxy (HTTP) / direct`, value: times(theirsHttp) },
    ];
  };
  const added = (value: (one: Contestant) => number[]) => median(value(gateway)) - median(value(direct));
  return [
    { what: "direct: p50, one at a time", value: milliseconds(median(p50(direct))) },
    { what: `direct: throughput, ${IN_FLIGHT} in flight`, value: perSecond(median(rate(direct))) },
    { what: "gateway adds: p50", value: milliseconds(added(p50)) },
    { what: "gateway adds: p99", value: milliseconds(added(p99)) },
    ...compare("p50", p50, false),
    ...compare("p99", p99, false),
    ...compare("throughput", rate, true),
  ];
}

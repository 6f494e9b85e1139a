import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Load, Measured } from "./measure.ts";
import { type Line, median, medianRatio, milliseconds, perSecond, ratioLine, times } from "./report.ts";
import { legacy, modern, openLegacySession, type Request } from "./requests.ts";

const IN_FLIGHT = 16;
/** On a machine that is busy with something else, a call that stalls is a slow one, and no task. */
const PATIENT = { waitFor: "10s" };
const ECHO = { name: "echo", arguments: { text: "hello" } };
const SERVER = "echo-stdio";

interface Contestant {
  readonly name: string;
  readonly client: "modern" | "legacy";
  readonly target: Pick<Target, "program" | "load">;
  readonly requests: readonly Request[];
  readonly alone: Measured[];
  readonly together: Measured[];
}

/**
 * What a short call costs whose server speaks stdio, with a bridge to HTTP in between: the gateway, npm's mcp-proxy and
 * supergateway, each before a server of its own. By their side is the same server without any: over HTTP, which is what all are
 * divided by, and over the very pipes.
 */
export async function measureStdio(lab: Lab, { rounds, warmUp, callMs }: Effort): Promise<Line[]> {
  const all = await open(lab);
  const contestants = [all.direct, all.pipe, ...all.ours, ...all.others];

  for (const one of contestants) await load(one, { connections: IN_FLIGHT, ...warmUp });
  for (let round = 0; round < rounds; round += 1) {
    // In the other direction every other time: whoever comes after whom makes a difference.
    contestants.reverse();
    for (const one of contestants) {
      one.alone.push(await load(one, { connections: 1, forMs: callMs }));
      one.together.push(await load(one, { connections: IN_FLIGHT, forMs: callMs }));
    }
  }
  for (const program of new Set(contestants.map(({ target }) => target.program))) await program.stop();
  return lines(all);
}

interface Contestants {
  readonly direct: Contestant;
  readonly pipe: Contestant;
  readonly ours: readonly Contestant[];
  readonly others: readonly Contestant[];
}

async function open(lab: Lab): Promise<Contestants> {
  const gateway = await lab.gateway({ upstream: { stdio: SERVER }, store: "memory", tasks: PATIENT });
  const proxy = await lab.mcpProxy(SERVER);
  return {
    direct: await asLegacy("direct", await lab.server("echo")),
    pipe: contestant("pipe", "legacy", await lab.pipe(SERVER), inSession("")),
    ours: [asModern("gateway", gateway), await asLegacy("gateway", gateway)],
    others: [
      asModern("mcp-proxy", proxy),
      await asLegacy("mcp-proxy", proxy),
      await asLegacy("supergateway", await lab.supergateway(SERVER)),
    ],
  };
}

const inSession = (sessionId: string) => (id: number) => legacy(sessionId, id, "tools/call", ECHO);

const asModern = (name: string, target: Target): Contestant =>
  contestant(`${name}, modern client`, "modern", target, (id) => modern(id, "tools/call", ECHO));

async function asLegacy(name: string, target: Target): Promise<Contestant> {
  const request = inSession(await openLegacySession(target.url));
  return contestant(`${name}, legacy client`, "legacy", target, request);
}

function contestant(
  name: string,
  client: Contestant["client"],
  target: Contestant["target"],
  request: (id: number) => Request,
): Contestant {
  const requests = Array.from({ length: IN_FLIGHT }, (_, index) => request(index + 1));
  return { name, client, target, requests, alone: [], together: [] };
}

type Amount = Pick<Load, "connections" | "forMs" | "atMost">;

function load({ target, requests }: Contestant, amount: Amount): Promise<Measured> {
  return target.load({ ...amount, requests, expected: '"text":"hello"' });
}

interface Quantity {
  readonly what: string;
  readonly of: (one: Contestant) => number[];
  readonly isMoreBetter?: boolean;
}

const QUANTITIES: readonly Quantity[] = [
  { what: "p50", of: ({ alone }) => alone.map(({ p50Ms }) => p50Ms) },
  { what: "p99", of: ({ alone }) => alone.map(({ p99Ms }) => p99Ms) },
  { what: "throughput", of: ({ together }) => together.map((one) => one.perSecond), isMoreBetter: true },
];

function lines({ direct, pipe, ours, others }: Contestants): Line[] {
  const p50 = median(direct.alone.map(({ p50Ms }) => p50Ms));
  const rate = median(direct.together.map((measured) => measured.perSecond));
  return [
    { what: "direct: p50, one at a time", value: milliseconds(p50) },
    { what: `direct: throughput, ${IN_FLIGHT} in flight`, value: perSecond(rate) },
    ...QUANTITIES.flatMap((quantity) => {
      const ratio = (one: Contestant) => medianRatio(quantity.of(one), quantity.of(direct));
      const { what, isMoreBetter = false } = quantity;
      const line = (one: Contestant) => ratioLine(`${what}: ${one.name} / direct`, ratio(one), isMoreBetter);
      const judged = (one: Contestant): Line => ({ ...line(one), aim: aimOf(one, others, quantity, ratio) });
      return [...ours.map(judged), ...others.map(line), line(pipe)];
    }),
  ];
}

/** Better than the best of the others that serve the same kind of client. */
function aimOf(
  one: Contestant,
  others: readonly Contestant[],
  { isMoreBetter = false }: Quantity,
  ratio: (one: Contestant) => number,
): NonNullable<Line["aim"]> {
  const theirs = others.filter(({ client }) => client === one.client).map(ratio);
  const best = isMoreBetter ? Math.max(...theirs) : Math.min(...theirs);
  const isMet = isMoreBetter ? ratio(one) > best : ratio(one) < best;
  return { text: `${isMoreBetter ? ">" : "<"} ${times(best)}`, isMet };
}

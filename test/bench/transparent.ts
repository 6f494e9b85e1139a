import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Load } from "./measure.ts";
import type { Line } from "./report.ts";
import { legacy, legacyStream, openLegacySession, type Request } from "./requests.ts";
import { FEW, KINDS, type Kind, linesOf, MANY, type Round } from "./transparent-lines.ts";

const TEXT = "x".repeat(1_000);
const SMALL: Request = { method: "GET", path: "/small", headers: { accept: "application/json" } };

interface Contestant {
  readonly name: string;
  readonly target: Target;
  readonly requests: Readonly<Record<Kind, readonly Request[]>>;
  /** Some do nothing but calls. */
  readonly kinds: readonly Kind[];
  readonly isProbed: boolean;
  readonly rounds: Record<Kind, Round[]>;
}

/**
 * What a legacy client pays for the way through the gateway, which is to be little more than it pays for http-proxy, that the
 * gateway forwards with. All stand before one server, but for mcp-proxy and supergateway over stdio, which start theirs as
 * they are meant to; mcp-proxy's library is before that one server too. http-proxy takes part twice: what is between the
 * two of them is noise.
 */
export async function measureTransparent(lab: Lab, effort: Effort): Promise<Line[]> {
  const server = await lab.server("legacy");
  const yardstick = await contestant("http-proxy", await lab.probed("http-proxy", server.url));
  const gateway = await contestant("gateway", await lab.gateway({ upstream: server.url, store: "memory" }));
  const others = [
    await contestant("http-proxy again", await lab.probed("http-proxy", server.url)),
    await contestant("direct", server, { isProbed: false }),
    ...(effort.hasBystanders ? [...(await nginxBefore(lab, server)), ...(await bridges(lab, server))] : []),
  ];
  const contestants = [yardstick, gateway, ...others];

  for (const one of contestants) {
    for (const kind of one.kinds)
      await load(one, kind, { ...effort.warmUp, atMost: effort.warmUp.atMost / KINDS.length });
  }
  for (let round = 0; round < effort.rounds; round += 1) {
    // In the other direction every other time: whoever comes after whom makes a difference.
    contestants.reverse();
    for (const kind of KINDS) {
      for (const one of contestants) {
        if (one.kinds.includes(kind))
          one.rounds[kind].push(await load(one, kind, { forMs: effort.callMs / 3 }));
      }
    }
  }
  await Promise.all(contestants.map(({ target }) => target.program.stop()));
  return linesOf({ yardstick, gateway, others });
}

async function contestant(
  name: string,
  target: Target,
  { kinds = KINDS, isProbed = true }: { kinds?: readonly Kind[]; isProbed?: boolean } = {},
): Promise<Contestant> {
  const sessionId = await openLegacySession(target.url);
  const calls = (tool: string) =>
    Array.from({ length: MANY }, (_, index) =>
      legacy(sessionId, index + 1, "tools/call", { name: tool, arguments: { text: TEXT } }),
    );
  const echo = calls("echo");
  const firstEvent = [legacyStream(sessionId)];
  return {
    name,
    target,
    requests: { alone: echo, few: echo, many: echo, json: calls("echo-json"), small: [SMALL], firstEvent },
    kinds,
    isProbed,
    rounds: { alone: [], few: [], many: [], json: [], small: [], firstEvent: [] },
  };
}

async function nginxBefore(lab: Lab, server: Target): Promise<Contestant[]> {
  const target = await lab.nginx(server.url);
  return target === undefined ? [] : [await contestant("nginx", target)];
}

/** They end the messages of one session and begin those of another, and know neither the server's streams nor its documents. */
async function bridges(lab: Lab, server: Target): Promise<Contestant[]> {
  const options = { kinds: ["alone", "few", "many"], isProbed: false } as const;
  const http = await lab.probed("mcp-proxy", server.url);
  return [
    await contestant("mcp-proxy (stdio)", await lab.mcpProxy("echo-stdio"), options),
    await contestant("mcp-proxy (HTTP)", http, options),
    await contestant("supergateway (stdio)", await lab.supergateway("echo-stdio"), options),
  ];
}

async function load(
  { target, requests, isProbed }: Contestant,
  kind: Kind,
  amount: Pick<Load, "forMs" | "atMost">,
): Promise<Round> {
  const cpuMs = () => (isProbed ? target.probe.cpuMs() : Number.NaN);
  const before = await cpuMs();
  const measured = await target.load({ ...JOBS[kind], requests: requests[kind], ...amount });
  return { ...measured, cpuMs: ((await cpuMs()) - before) / measured.count };
}

const JOBS = {
  alone: { connections: 1, expected: TEXT },
  few: { connections: FEW, expected: TEXT },
  many: { connections: MANY, expected: TEXT },
  json: { connections: FEW, expected: TEXT },
  small: { connections: FEW, expected: "scopes_supported" },
  firstEvent: { connections: 1, expected: "hello", until: "event" },
} as const;

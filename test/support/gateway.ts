/** The gateway in this process, on a port of its own, and a modern client that shows what is on the wire. */

import { onTestFinished } from "vitest";
import type {
  Config,
  HttpUpstreamConfig,
  ServerConfig,
  StdioUpstreamConfig,
  ToolPolicy,
  ToolRule,
} from "../../src/config/config.ts";
import { resolveLimits } from "../../src/config/limit-settings.ts";
import { type Gateway, type GatewayOptions, startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { ModernClient } from "./modern-client.ts";

export interface GatewayUnderTest {
  readonly url: URL;
  readonly gateway: Gateway;
  client(options?: ConstructorParameters<typeof ModernClient>[1]): ModernClient;
}

/** How a server is started; what is left out is as in a file that leaves it out. */
export type CommandUnderTest = Pick<StdioUpstreamConfig, "command" | "args"> & Partial<StdioUpstreamConfig>;

export interface GatewaySettings {
  /** Where the server is, or how it is started. */
  readonly upstream: URL | CommandUnderTest;
  readonly transport?: HttpUpstreamConfig["transport"];
  readonly store?: string;
  readonly policy?: Partial<ToolPolicy>;
  readonly tools?: readonly (Partial<ToolRule> & Pick<ToolRule, "match">)[];
  readonly server?: Partial<ServerConfig>;
  readonly sessions?: HttpUpstreamConfig["sessions"] | undefined;
  readonly startTimeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly forwardHeaders?: readonly string[];
  readonly listen?: Partial<Config["listen"]>;
  readonly limits?: Partial<Config["limits"]>;
  /** Says who is calling; everybody is the same caller unless it is given. */
  readonly identify?: GatewayOptions["identify"];
  readonly callers?: Config["callers"];
  readonly log?: Partial<Config["log"]>;
  readonly tracing?: Config["tracing"];
  /** Whether there is an admin listener, and what is special about it. */
  readonly admin?: boolean | Partial<Config["admin"]>;
  readonly webhooks?: Config["webhooks"];
  readonly events?: Config["events"];
  readonly encryptionKeys?: Config["store"]["encryptionKeys"];
}

const POLICY: ToolPolicy = {
  mode: "auto",
  // A quick call is to be answered in it on a busy machine too, and whoever wants a task waits for it.
  waitForMs: 1_000,
  ttlMs: 3_600_000,
  pollIntervalMs: 50,
  maxPollIntervalMs: 10_000,
  maxRuntimeMs: 60_000,
  maxResultBytes: 33_554_432,
  onLoss: "fail",
  isUnsafe: false,
};

/** Starts a gateway in front of one server. It is closed when the test ends. */
export async function gatewayFor(settings: GatewaySettings): Promise<GatewayUnderTest> {
  const { identify } = settings;
  const gateway = await startGateway(configFor(settings), {
    log: createLog("silent"),
    ...(identify === undefined ? {} : { identify }),
  });
  onTestFinished(() => gateway.close());
  const url = new URL(gateway.routes[0]?.url ?? "");
  return { url, gateway, client: (options) => new ModernClient(url, options) };
}

/** The configuration of a gateway in front of one server, with windows short enough for tests. */
export function configFor(settings: GatewaySettings): Config {
  const policy = { ...POLICY, ...settings.policy };
  return {
    listen: {
      host: "127.0.0.1",
      port: 0,
      allowedOrigins: [],
      readyPath: "/-/health",
      ...settings.listen,
    },
    ...(settings.admin
      ? {
          admin: {
            host: "127.0.0.1",
            port: 0,
            payloads: false,
            ...(settings.admin === true ? {} : settings.admin),
          },
        }
      : {}),
    store: {
      url: settings.store ?? "memory:",
      leaseMs: 15_000,
      timeoutMs: 2_000,
      prefix: "taskgate:",
      ...(settings.encryptionKeys === undefined ? {} : { encryptionKeys: settings.encryptionKeys }),
    },
    limits: {
      ...resolveLimits(),
      drainTimeoutMs: 200,
      ...settings.limits,
    },
    webhooks: settings.webhooks ?? [],
    ...(settings.events === undefined ? {} : { events: settings.events }),
    callers: settings.callers ?? { identify: "anonymous" },
    log: { level: "silent", format: "json", isAudited: false, hashesCallers: false, ...settings.log },
    reload: "off",
    tracing: settings.tracing ?? "off",
    servers: [
      {
        name: "tested",
        path: "/tested/mcp",
        aliases: ["/mcp"],
        upstream: upstreamFor(settings),
        tasks: policy,
        tools: (settings.tools ?? []).map((rule) => ({ ...policy, ...rule })),
        maxConcurrent: 64,
        maxQueued: 1_000,
        ...settings.server,
      },
    ],
  };
}

function upstreamFor({ upstream, ...settings }: GatewaySettings): ServerConfig["upstream"] {
  const timeouts = { idleTimeoutMs: 60_000, startTimeoutMs: settings.startTimeoutMs ?? 30_000 };
  if (!(upstream instanceof URL)) {
    const sessions = { sessions: settings.sessions ?? "lease", maxSessions: 8 } as const;
    return { transport: "stdio", env: {}, forwardHeaders: [], ...sessions, ...timeouts, ...upstream };
  }
  return {
    ...timeouts,
    transport: settings.transport ?? "auto",
    url: upstream,
    headers: settings.headers ?? {},
    forwardHeaders: settings.forwardHeaders ?? [],
    sessions: settings.sessions ?? "lease",
  };
}

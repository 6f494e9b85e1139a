import type { Call, Plan, Row, Transport } from "./row.ts";

const SECONDS = 2;
const STDIO_AND_SSE = ["stdio", "sse"] as const;
const ALL = [...STDIO_AND_SSE, "streamable-http"] as const;

interface Release {
  readonly folder: string;
  readonly transports: readonly Transport[];
  readonly scripts: Readonly<Record<Transport, readonly [script: string, ...args: string[]]>>;
  readonly isForOne: boolean;
  readonly asks: boolean;
  readonly long: string;
}

const SCRIPTS: Release["scripts"] = {
  stdio: ["dist/stdio.js"],
  sse: ["dist/sse.js"],
  "streamable-http": ["dist/streamableHttp.js"],
};
const FIRST = {
  transports: STDIO_AND_SSE,
  scripts: { ...SCRIPTS, stdio: ["dist/index.js"] },
  isForOne: true,
  asks: false,
  long: "longRunningOperation",
} as const;
const SECOND = {
  transports: ALL,
  scripts: SCRIPTS,
  isForOne: false,
  asks: true,
  long: "longRunningOperation",
} as const;
const THIRD = {
  ...SECOND,
  scripts: {
    stdio: ["dist/index.js", "stdio"],
    sse: ["dist/index.js", "sse"],
    "streamable-http": ["dist/index.js", "streamableHttp"],
  },
  long: "trigger-long-running-operation",
} as const;

const RELEASES: readonly Release[] = [
  { folder: "everything-0-6-2", ...FIRST },
  { folder: "everything-2025-01", ...FIRST },
  { folder: "everything-2025-03", ...FIRST },
  { folder: "everything-2025-04", ...FIRST, transports: ALL },
  { folder: "everything-2025-07", ...SECOND },
  { folder: "everything-2025-08", ...SECOND },
  { folder: "everything-2025-09", ...SECOND },
  { folder: "everything-2025-11", ...SECOND },
  { folder: "everything-2025-12", ...SECOND },
  { folder: "everything-2026-01", ...THIRD },
  { folder: "everything-2026-07", ...THIRD },
  { folder: "everything-2026-08", ...THIRD },
];

/** The reference server that has a bit of everything, in each release that differs, over each transport it has. */
export const EVERYTHING: readonly Row[] = RELEASES.flatMap((release) =>
  release.transports.map((transport) => ({
    folder: release.folder,
    transport,
    ...(servesOne(release, transport) ? { notes: "has room for one client: `sessions: single`" } : {}),
    plan: ({ port }) => planOf(release, transport, port),
  })),
);

/** The first ones send whatever they have to say to the client that came last. */
function servesOne({ isForOne }: Release, transport: Transport): boolean {
  return isForOne && transport !== "stdio";
}

function planOf(release: Release, transport: Transport, port: number): Plan {
  const { scripts, asks, long } = release;
  const [script, ...args] = scripts[transport];
  return {
    script,
    args,
    ...(transport === "stdio" ? {} : { env: { PORT: String(port) } }),
    ...(servesOne(release, transport) ? { sessions: "single", isRestarted: transport === "sse" } : {}),
    quick: { tool: "echo", args: { message: "hello" }, expected: /hello/ },
    tasks: [
      {
        tool: long,
        args: { duration: SECONDS, steps: 4 },
        expected: /Long running operation completed/,
      },
    ],
    ...(asks ? { question: questionOf(long) } : {}),
  };
}

function questionOf(long: string): Call {
  const tool = long.startsWith("trigger-") ? "trigger-elicitation-request" : "startElicitation";
  return { tool, expected: /Ada|green/, always: true };
}

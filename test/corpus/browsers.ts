import { existsSync } from "node:fs";
import { PAGE_HEADING, type Place, type Plan, type Row } from "./row.ts";

/** Where Debian has it. */
export const CHROMIUM = "/usr/bin/chromium";

const missing = () => (existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is not installed (Debian: chromium)`);
/** Time for several pings. */
const PINGED_SECONDS = 12;

const PINGS = "pings every 3 s while a call runs, and drops the session when nobody answers";

/** Servers that drive a browser. */
export const BROWSERS: readonly Row[] = [
  {
    folder: "@playwright/mcp",
    transport: "streamable-http",
    missing,
    plan: (place) => playwright(place, place.port),
    notes: PINGS,
  },
  {
    folder: "@playwright/mcp",
    transport: "sse",
    missing,
    plan: (place) => playwright(place, place.port),
    notes: PINGS,
  },
  { folder: "@playwright/mcp", transport: "stdio", missing, plan: (place) => playwright(place) },
  {
    folder: "chrome-devtools-mcp",
    transport: "stdio",
    missing,
    plan: ({ pageUrl }) => ({
      script: "build/src/bin/chrome-devtools-mcp.js",
      args: ["--headless", "--isolated", "--executablePath", CHROMIUM, "--chromeArg=--no-sandbox"],
      tasks: [{ tool: "new_page", args: { url: pageUrl }, expected: new RegExp(pageUrl), always: true }],
    }),
  },
];

function playwright({ pageUrl, folder }: Place, port?: number): Plan {
  const browser = ["--headless", "--browser", "chromium", "--executable-path", CHROMIUM, "--no-sandbox"];
  return {
    script: "cli.js",
    args: [
      ...(port === undefined ? [] : ["--port", String(port)]),
      ...browser,
      "--isolated",
      "--output-dir",
      folder,
    ],
    tasks: [
      { tool: "browser_navigate", args: { url: pageUrl }, expected: new RegExp(PAGE_HEADING), always: true },
      { tool: "browser_wait_for", args: { time: PINGED_SECONDS }, expected: /Waited/ },
    ],
  };
}

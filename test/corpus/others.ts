import { join } from "node:path";
import { node24 } from "../peers/peers.ts";
import { type Call, PAGE_HEADING, type Place, type Plan, type Row } from "./row.ts";

/** Longer than the 60 s that clients have patience for. */
const SLEEP: Call = {
  tool: "run_command",
  args: { command: "sleep 75; echo rested" },
  expected: /rested/,
};
const THOUGHT = { thought: "What is slow?", thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false };
const THINKING: Plan = {
  script: "dist/index.js",
  tasks: [{ tool: "sequentialthinking", args: THOUGHT, expected: /"thoughtNumber": 1/, always: true }],
};

/** Servers of other kinds and other authors. */
export const OTHERS: readonly Row[] = [
  {
    folder: "mcp-server-commands",
    transport: "stdio",
    plan: () => ({
      script: "build/index.js",
      quick: { tool: "run_command", args: { command: "echo hello" }, expected: /hello/ },
      tasks: [SLEEP],
      direct: { call: SLEEP, expectedError: /timed out/i },
    }),
    notes: "`sleep 75`, which is longer than clients wait",
  },
  { folder: "filesystem-2025-01", transport: "stdio", plan: (place) => files("read_file", place) },
  { folder: "filesystem-2026-08", transport: "stdio", plan: (place) => files("read_text_file", place) },
  {
    folder: "@modelcontextprotocol/server-memory",
    transport: "stdio",
    plan: ({ folder }) => ({
      script: "dist/index.js",
      env: { MEMORY_FILE_PATH: join(folder, "memory.jsonl") },
      quick: { tool: "read_graph", expected: /"entities"/ },
      tasks: [
        {
          tool: "create_entities",
          args: { entities: [{ name: "Ada", entityType: "person", observations: ["is patient"] }] },
          expected: /is patient/,
          always: true,
        },
      ],
    }),
  },
  { folder: "sequential-thinking-0-6-2", transport: "stdio", plan: () => THINKING },
  { folder: "@modelcontextprotocol/server-sequential-thinking", transport: "stdio", plan: () => THINKING },
  { folder: "@eslint/mcp", transport: "stdio", plan: lint },
  { folder: "@cyanheads/git-mcp-server", transport: "stdio", plan: git },
  {
    folder: "@cyanheads/git-mcp-server",
    transport: "streamable-http",
    plan: (place) => ({
      ...git(place),
      env: { MCP_TRANSPORT_TYPE: "http", MCP_HTTP_PORT: String(place.port) },
    }),
  },
  {
    folder: "@modelcontextprotocol/server-pdf",
    transport: "stdio",
    plan: (place) => pdf(place, ["--stdio"]),
  },
  {
    folder: "@modelcontextprotocol/server-pdf",
    transport: "streamable-http",
    plan: (place) => ({ ...pdf(place), env: { PORT: String(place.port) } }),
  },
  { folder: "@bytebase/dbhub", transport: "stdio", missing: node24Missing, plan: () => database() },
  {
    folder: "@bytebase/dbhub",
    transport: "streamable-http",
    missing: node24Missing,
    plan: ({ port }) => database(["--transport", "http", "--port", String(port)]),
  },
];

function files(tool: string, { folder }: Place): Plan {
  return {
    script: "dist/index.js",
    args: [folder],
    quick: { tool: "list_allowed_directories", expected: new RegExp(folder) },
    tasks: [
      { tool, args: { path: join(folder, "page.html") }, expected: new RegExp(PAGE_HEADING), always: true },
    ],
  };
}

function lint({ folder }: Place): Plan {
  return {
    script: "src/mcp-cli.js",
    tasks: [
      {
        tool: "lint-files",
        args: { filePaths: [join(folder, "script.js")] },
        expected: /no-undef/,
        always: true,
      },
    ],
  };
}

function git({ folder }: Place): Plan {
  const path = join(folder, "repository");
  return {
    script: "dist/index.js",
    quick: { tool: "git_init", args: { path }, expected: /"success": true/ },
    tasks: [{ tool: "git_status", args: { path }, expected: /"isClean": true/, always: true }],
  };
}

function pdf({ folder }: Place, args: readonly string[] = []): Plan {
  const url = join(folder, "page.pdf");
  return {
    script: "dist/index.js",
    args: [...args, url],
    quick: { tool: "list_pdfs", expected: /page\.pdf/ },
    tasks: [{ tool: "read_pdf_bytes", args: { url }, expected: /bytes/, always: true }],
  };
}

function database(args: readonly string[] = []): Plan {
  const sql = "select count(*) as employees from employee";
  return {
    script: "dist/index.js",
    args: ["--demo", ...args],
    node: node24(),
    quick: { tool: "search_objects", args: { object_type: "table" }, expected: /employee/ },
    tasks: [{ tool: "execute_sql", args: { sql }, expected: /"employees": 1000/, always: true }],
  };
}

/** It needs a newer node than the gateway does. */
function node24Missing(): string | undefined {
  try {
    node24();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

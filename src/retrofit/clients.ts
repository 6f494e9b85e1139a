/** What is known of each client: where it keeps its servers, how an entry is written there, and what to say before one is changed. */

export type Platform = "linux" | "darwin" | "win32";

/** How a client writes a variable in its file. */
export type Syntax =
  | "$X"
  | "braces" // ${X}
  | "braces with default" // ${X:-d}
  | "braces with colon" // ${X:d}
  | "env in braces" // ${env:X}
  | "$env:X"
  | "{env:X}"
  | "secrets" // ${{ secrets.X }}
  | "{{x}}";

/** A part of an entry in which a client may fill in variables. */
export type Part = "command" | "args" | "env" | "url" | "headers";

/** The names of an entry's fields. */
export interface EntryFields {
  readonly command: string;
  /** `undefined`: the arguments follow the command in one list. */
  readonly args: string | undefined;
  readonly env: string;
  /** `undefined`: the client starts servers where it likes, whatever an entry says. */
  readonly cwd: string | undefined;
  /** The field that says that a server is started, with its word for that. */
  readonly kind: readonly [field: string, word: string];
}

export interface Client {
  readonly name: string;
  readonly title: string;
  readonly aliases?: readonly string[];
  /** A user's own files. `~` is the home directory, `%X:d%` a variable of the environment with its default, `*` any name; without its variable a path is left out. */
  readonly user?: readonly string[] | Readonly<Record<Platform, readonly string[]>>;
  /** Files in a project, which people commit. */
  readonly project?: readonly string[];
  /** Where the servers are: keys with dots between, `*` for any key, nothing for a file that is the mapping of servers itself. */
  readonly servers: readonly string[];
  readonly fields?: Partial<EntryFields>;
  readonly variables?: readonly Syntax[];
  /** Where variables are filled in, if not everywhere. */
  readonly fillsIn?: readonly Part[];
  /** How long a call may take, by an entry's field or else by default, where that is known. */
  readonly callTimeout?: { readonly field: string; readonly unitMs: 1 | 1_000; readonly defaultMs?: number };
  /** Whether `{{x}}` in a header has another value for each user, which one process cannot have. */
  readonly isPerUser?: true;
  /** Whether a comment or a trailing comma costs the client the whole file. */
  readonly isStrict?: true;
  /** Whether the client logs in to servers at a URL by itself. */
  readonly logsIn?: true;
  /** Whether the client writes its file only while it holds a lock: the directory `FILE.lock`. */
  readonly locksFile?: true;
  /** What changes for its user, in full sentences. */
  readonly notices?: readonly string[];
  /** Why there is nothing to wrap, and what to do instead. */
  readonly instead?: string;
}

export const FIELDS: EntryFields = {
  command: "command",
  args: "args",
  env: "env",
  cwd: "cwd",
  kind: ["type", "stdio"],
};

const MCP_SERVERS = ["mcpServers"] as const;
/** A shared `.mcp.json` has one of three shapes. */
const THREE_SHAPES = ["mcpServers", "servers", ""] as const;
const SHELL_LIKE = ["braces", "braces with default"] as const;
const SECONDS = { field: "timeout", unitMs: 1_000 } as const;
const MILLISECONDS = { field: "timeout", unitMs: 1 } as const;
const TRUST = "asks again whether you trust a server whose entry has changed.";
const ALLOW_LIST =
  "An allow-list of your organisation that names commands or URLs does not know the new command, and blocks the server.";

/** The place for a program's files that each platform has. */
function appData(path: string): Readonly<Record<Platform, readonly string[]>> {
  return {
    linux: [`%XDG_CONFIG_HOME:~/.config%/${path}`],
    darwin: [`~/Library/Application Support/${path}`],
    win32: [`%APPDATA:~/AppData/Roaming%/${path}`],
  };
}

const CLAUDE = appData("Claude/claude_desktop_config.json");
const VSCODE = appData("Code/User/mcp.json");
const VSCODE_PROFILES = appData("Code/User/profiles/*/mcp.json");

export const CLIENTS: readonly Client[] = [
  {
    name: "claude-desktop",
    title: "Claude Desktop",
    user: {
      ...CLAUDE,
      win32: [
        ...CLAUDE.win32,
        "%LOCALAPPDATA:~/AppData/Local%/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude/claude_desktop_config.json",
      ],
    },
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
    isStrict: true,
    notices: [
      "Quit Claude Desktop first: it writes this file itself while it runs, and reads it only when it starts. Some of its updates have lost all servers of the file; `wrap` then has to be run again.",
    ],
  },
  {
    name: "claude-code",
    title: "Claude Code",
    user: ["%CLAUDE_CONFIG_DIR:~%/.claude.json"],
    project: [".mcp.json"],
    servers: [...THREE_SHAPES, "projects.*.mcpServers"],
    fields: { cwd: undefined },
    variables: SHELL_LIKE,
    callTimeout: { ...MILLISECONDS, defaultMs: 60_000 },
    logsIn: true,
    notices: [
      "Sessions of Claude Code that run write ~/.claude.json themselves, and know the change only after a restart, or after /mcp for a .mcp.json.",
      `Claude Code asks again for your approval of a .mcp.json. ${ALLOW_LIST}`,
      "A plug-in or connector with the same command or URL as a wrapped server is no longer taken for the same one, and both run.",
    ],
  },
  {
    name: "vscode",
    title: "VS Code",
    aliases: ["code"],
    user: {
      linux: [...VSCODE.linux, ...VSCODE_PROFILES.linux],
      darwin: [...VSCODE.darwin, ...VSCODE_PROFILES.darwin],
      win32: [...VSCODE.win32, ...VSCODE_PROFILES.win32],
    },
    project: [
      ".vscode/mcp.json",
      ".devcontainer/devcontainer.json",
      ".devcontainer.json",
      "*.code-workspace",
    ],
    servers: ["servers", "settings.mcp.servers", "customizations.vscode.mcp.servers"],
    variables: ["env in braces"],
    logsIn: true,
    notices: [`VS Code ${TRUST}`],
  },
  {
    name: "copilot",
    title: "GitHub Copilot CLI",
    aliases: ["copilot-cli"],
    user: ["%COPILOT_HOME:~/.copilot%/mcp-config.json"],
    project: [".github/mcp.json"],
    servers: THREE_SHAPES,
    fields: { kind: ["type", "local"] },
    variables: ["$X", ...SHELL_LIKE],
    fillsIn: ["env", "headers"],
    callTimeout: { ...MILLISECONDS, defaultMs: 30_000 },
    isStrict: true,
    logsIn: true,
    notices: [`A session that runs needs /mcp reload. ${ALLOW_LIST}`],
  },
  {
    name: "visual-studio",
    title: "Visual Studio",
    user: ["~/.mcp.json"],
    project: [".vs/mcp.json"],
    servers: ["servers", "mcpServers"],
    variables: ["env in braces"],
    logsIn: true,
  },
  {
    name: "cursor",
    title: "Cursor",
    user: ["~/.cursor/mcp.json"],
    project: [".cursor/mcp.json"],
    servers: MCP_SERVERS,
    variables: ["env in braces"],
    callTimeout: { field: "", unitMs: 1, defaultMs: 60_000 },
    logsIn: true,
    notices: ["Cursor connects again when the file is saved, which may take a minute the first time."],
  },
  {
    name: "devin-desktop",
    title: "Devin Desktop (Windsurf)",
    aliases: ["windsurf"],
    user: ["~/.codeium/windsurf/mcp_config.json", "~/.codeium/mcp_config.json"],
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
    variables: ["env in braces"],
    notices: ["Press refresh in its list of MCP servers afterwards."],
  },
  {
    name: "devin",
    title: "Devin CLI",
    user: {
      linux: ["%XDG_CONFIG_HOME:~/.config%/devin/config.json"],
      darwin: ["~/.config/devin/config.json"],
      win32: ["%APPDATA:~/AppData/Roaming%/devin/config.json"],
    },
    project: [".devin/config.local.json", ".devin/config.json"],
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
  },
  {
    name: "zed",
    title: "Zed",
    user: {
      linux: ["%XDG_CONFIG_HOME:~/.config%/zed/settings.json"],
      darwin: ["~/.config/zed/settings.json"],
      win32: ["%APPDATA:~/AppData/Roaming%/Zed/settings.json"],
    },
    project: [".zed/settings.json"],
    servers: ["context_servers"],
    fields: { cwd: undefined },
    callTimeout: { ...SECONDS, defaultMs: 60_000 },
    logsIn: true,
  },
  {
    name: "cline",
    title: "Cline",
    user: [
      "%CLINE_MCP_SETTINGS_PATH%",
      "%CLINE_DATA_DIR%/settings/cline_mcp_settings.json",
      "%CLINE_DIR:~/.cline%/data/settings/cline_mcp_settings.json",
    ],
    servers: MCP_SERVERS,
    variables: ["env in braces"],
    callTimeout: { ...SECONDS, defaultMs: 60_000 },
    isStrict: true,
    logsIn: true,
    locksFile: true,
  },
  {
    name: "roo",
    title: "Roo Code",
    user: appData("Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
    project: [".roo/mcp.json"],
    servers: MCP_SERVERS,
    variables: ["env in braces"],
    callTimeout: { ...SECONDS, defaultMs: 60_000 },
    isStrict: true,
  },
  {
    name: "continue",
    title: "Continue",
    user: ["~/.continue/config.yaml", "~/.continue/mcpServers/*.yaml", "~/.continue/mcpServers/*.json"],
    project: [".continue/mcpServers/*.yaml", ".continue/mcpServers/*.json"],
    servers: MCP_SERVERS,
    variables: ["secrets"],
  },
  {
    name: "gemini",
    title: "Gemini CLI",
    aliases: ["gemini-cli"],
    user: ["~/.gemini/settings.json"],
    project: [".gemini/settings.json"],
    servers: MCP_SERVERS,
    variables: ["$X", ...SHELL_LIKE],
    callTimeout: { ...MILLISECONDS, defaultMs: 600_000 },
    logsIn: true,
    notices: [
      "Gemini CLI starts servers in trusted folders only: one at a URL that worked elsewhere may not be started there.",
      "It passes no variable on whose name has TOKEN, SECRET, KEY, AUTH or PASSWORD in it, unless the entry's env has it.",
    ],
  },
  {
    name: "codex",
    title: "Codex",
    user: ["%CODEX_HOME:~/.codex%/config.toml"],
    project: [".codex/config.toml"],
    servers: ["mcp_servers"],
    fillsIn: [],
    callTimeout: { field: "tool_timeout_sec", unitMs: 1_000, defaultMs: 60_000 },
    logsIn: true,
    notices: [
      "Codex CLI, its IDE extension and ChatGPT desktop read the same file.",
      "`codex mcp add` and `codex mcp remove` write all tables of servers anew, without their comments.",
    ],
  },
  {
    name: "goose",
    title: "Goose",
    user: {
      linux: ["%XDG_CONFIG_HOME:~/.config%/goose/config.yaml"],
      darwin: ["~/.config/goose/config.yaml"],
      win32: ["%APPDATA:~/AppData/Roaming%/Block/goose/config/config.yaml"],
    },
    servers: ["extensions"],
    fields: { command: "cmd", env: "envs", cwd: undefined },
    variables: ["$X", "braces"],
    fillsIn: ["headers"],
    callTimeout: { ...SECONDS, defaultMs: 300_000 },
    logsIn: true,
  },
  {
    name: "lm-studio",
    title: "LM Studio",
    user: ["~/.lmstudio/mcp.json", "~/.cache/lm-studio/mcp.json"],
    servers: MCP_SERVERS,
    callTimeout: { field: "", unitMs: 1, defaultMs: 60_000 },
  },
  {
    name: "junie",
    title: "Junie",
    user: ["~/.junie/mcp/mcp.json"],
    project: [".junie/mcp/mcp.json"],
    servers: MCP_SERVERS,
  },
  {
    name: "amazon-q",
    title: "Amazon Q Developer CLI",
    aliases: ["q"],
    user: ["~/.aws/amazonq/mcp.json", "~/.aws/amazonq/cli-agents/*.json"],
    project: [".amazonq/mcp.json", ".amazonq/cli-agents/*.json"],
    servers: MCP_SERVERS,
    variables: ["env in braces"],
    callTimeout: { ...MILLISECONDS, defaultMs: 120_000 },
    logsIn: true,
  },
  {
    name: "kiro",
    title: "Kiro",
    user: ["~/.kiro/settings/mcp.json"],
    project: [".kiro/settings/mcp.json"],
    servers: ["mcpServers", "powers.mcpServers"],
    variables: ["braces"],
    logsIn: true,
    notices: ["Kiro fills in only variables that you have approved by name, as before."],
  },
  {
    name: "opencode",
    title: "opencode",
    user: [
      "%OPENCODE_CONFIG%",
      "%XDG_CONFIG_HOME:~/.config%/opencode/opencode.json",
      "%XDG_CONFIG_HOME:~/.config%/opencode/opencode.jsonc",
    ],
    project: ["opencode.json", "opencode.jsonc"],
    servers: ["mcp"],
    fields: { args: undefined, env: "environment", kind: ["type", "local"] },
    variables: ["{env:X}"],
    callTimeout: MILLISECONDS,
    logsIn: true,
    notices: [
      "opencode gives a server 5 s to start unless the entry's `timeout` says otherwise, and asks again for approval of an entry in a project.",
    ],
  },
  {
    name: "warp",
    title: "Warp",
    user: ["~/.warp/.mcp.json"],
    project: [".warp/.mcp.json"],
    servers: ["mcp.servers", "servers", "mcpServers", "mcp_servers"],
    fields: { cwd: "working_directory" },
    variables: ["braces", "{{x}}"],
    isStrict: true,
    notices: [
      "Warp reads the files of Claude Code and Codex too: what is wrapped there is wrapped for Warp.",
    ],
  },
  {
    name: "librechat",
    title: "LibreChat",
    user: ["%CONFIG_PATH%"],
    project: ["librechat.yaml"],
    isPerUser: true,
    servers: MCP_SERVERS,
    variables: ["braces", "{{x}}"],
    callTimeout: { ...MILLISECONDS, defaultMs: 30_000 },
    notices: ["LibreChat often runs in a container: mcp-taskgate has to be installed there."],
  },
  {
    name: "mcpo",
    title: "mcpo",
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
    isStrict: true,
  },
  {
    name: "mcphub",
    title: "mcphub",
    project: ["mcp_settings.json"],
    servers: MCP_SERVERS,
    variables: ["braces"],
    callTimeout: { field: "", unitMs: 1, defaultMs: 60_000 },
    isStrict: true,
  },
  {
    name: "mcporter",
    title: "mcporter",
    user: ["%MCPORTER_CONFIG%", "~/.mcporter/mcporter.json", "~/.mcporter/mcporter.jsonc"],
    project: ["config/mcporter.json"],
    servers: MCP_SERVERS,
    // mcporter 0.9 starts a server in the directory of the file, whatever `cwd` says; 0.12 heeds it.
    fields: { cwd: undefined },
    variables: [...SHELL_LIKE, "$env:X"],
    callTimeout: { field: "", unitMs: 1, defaultMs: 60_000 },
    logsIn: true,
    notices: [
      "mcporter reads the files of Cursor, Claude, Codex and others too: what is wrapped there is wrapped for mcporter.",
    ],
  },
  {
    name: "fast-agent",
    title: "fast-agent",
    user: ["%FAST_AGENT_HOME%/fast-agent.yaml"],
    project: [
      "fast-agent.yaml",
      ".fast-agent/fast-agent.yaml",
      "fast-agent.config.yaml",
      "fastagent.config.yaml",
    ],
    servers: ["mcp.servers"],
    fields: { kind: ["transport", "stdio"] },
    variables: ["braces with colon"],
    callTimeout: { field: "read_timeout_seconds", unitMs: 1_000 },
    notices: ["Settings of the same server in fast-agent.secrets.yaml are merged in, and are not looked at."],
  },
  {
    name: "mcp-use",
    title: "mcp-use",
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
    isStrict: true,
  },
  {
    name: "claude-agent-sdk",
    title: "Claude Agent SDK",
    servers: MCP_SERVERS,
    fields: { cwd: undefined },
    variables: SHELL_LIKE,
    callTimeout: { ...MILLISECONDS, defaultMs: 60_000 },
  },
  {
    name: "open-webui",
    title: "Open WebUI",
    servers: [],
    instead:
      "Open WebUI starts no servers and keeps their URLs in its database: run `mcp-taskgate URL`, and give Open WebUI the address that it prints",
  },
  {
    name: "docker",
    title: "Docker MCP Toolkit",
    aliases: ["docker-mcp"],
    servers: [],
    instead:
      "the servers of Docker MCP Toolkit are images, which its own gateway starts: wrap the entry MCP_DOCKER of the client that you use, as in `mcp-taskgate wrap MCP_DOCKER --client cursor`",
  },
];

/** A file of which nothing is known but its text. */
export const ANY_CLIENT: Client = {
  name: "",
  title: "the client",
  servers: [],
  variables: [
    "$X",
    "braces",
    "braces with default",
    "env in braces",
    "$env:X",
    "{env:X}",
    "secrets",
    "{{x}}",
  ],
  logsIn: true,
};

/** For a file that no client is known by: where servers are in it tells whose form it has. */
export const SHAPES: readonly (readonly [servers: string, client: string | undefined])[] = [
  ["mcpServers", undefined],
  ["context_servers", "zed"],
  ["mcp_servers", "codex"],
  ["extensions", "goose"],
  ["mcp.servers", "fast-agent"],
  ["servers", "vscode"],
  ["mcp", "opencode"],
  ["", undefined],
];

import { expect, test } from "vitest";
import { CLIENTS, type Platform } from "../../src/retrofit/clients.ts";
import { type Machine, ownerOf, placesOf, stateDirectory } from "../../src/retrofit/machine.ts";
import { clientOf, machine } from "./fixtures.ts";

const MACHINES: Readonly<Record<Platform, Machine>> = {
  linux: machine(),
  darwin: machine({ platform: "darwin", home: "/Users/ada", cwd: "/Users/ada/work" }),
  win32: machine({
    platform: "win32",
    home: "C:\\Users\\ada",
    cwd: "D:\\work",
    env: { APPDATA: "C:\\Users\\ada\\AppData\\Roaming", LOCALAPPDATA: "C:\\Users\\ada\\AppData\\Local" },
  }),
};

const LINUX = `
claude-desktop    /home/ada/.config/Claude/claude_desktop_config.json
claude-code       /home/ada/.claude.json
vscode            /home/ada/.config/Code/User/mcp.json
vscode            /home/ada/.config/Code/User/profiles/*/mcp.json
copilot           /home/ada/.copilot/mcp-config.json
visual-studio     /home/ada/.mcp.json
cursor            /home/ada/.cursor/mcp.json
devin-desktop     /home/ada/.codeium/windsurf/mcp_config.json
devin-desktop     /home/ada/.codeium/mcp_config.json
devin             /home/ada/.config/devin/config.json
zed               /home/ada/.config/zed/settings.json
cline             /home/ada/.cline/data/settings/cline_mcp_settings.json
roo               /home/ada/.config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json
continue          /home/ada/.continue/config.yaml
continue          /home/ada/.continue/mcpServers/*.yaml
continue          /home/ada/.continue/mcpServers/*.json
gemini            /home/ada/.gemini/settings.json
codex             /home/ada/.codex/config.toml
goose             /home/ada/.config/goose/config.yaml
lm-studio         /home/ada/.lmstudio/mcp.json
lm-studio         /home/ada/.cache/lm-studio/mcp.json
junie             /home/ada/.junie/mcp/mcp.json
amazon-q          /home/ada/.aws/amazonq/mcp.json
amazon-q          /home/ada/.aws/amazonq/cli-agents/*.json
kiro              /home/ada/.kiro/settings/mcp.json
opencode          /home/ada/.config/opencode/opencode.json
opencode          /home/ada/.config/opencode/opencode.jsonc
warp              /home/ada/.warp/.mcp.json
mcporter          /home/ada/.mcporter/mcporter.json
mcporter          /home/ada/.mcporter/mcporter.jsonc`;

const DARWIN = `
claude-desktop    /Users/ada/Library/Application Support/Claude/claude_desktop_config.json
vscode            /Users/ada/Library/Application Support/Code/User/mcp.json
vscode            /Users/ada/Library/Application Support/Code/User/profiles/*/mcp.json
zed               /Users/ada/.config/zed/settings.json
roo               /Users/ada/Library/Application Support/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json
goose             /Users/ada/.config/goose/config.yaml
codex             /Users/ada/.codex/config.toml`;

const WINDOWS = `
claude-desktop    C:\\Users\\ada\\AppData\\Roaming\\Claude\\claude_desktop_config.json
claude-desktop    C:\\Users\\ada\\AppData\\Local\\Packages\\Claude_pzs8sxrjxfjjc\\LocalCache\\Roaming\\Claude\\claude_desktop_config.json
claude-code       C:\\Users\\ada\\.claude.json
vscode            C:\\Users\\ada\\AppData\\Roaming\\Code\\User\\mcp.json
vscode            C:\\Users\\ada\\AppData\\Roaming\\Code\\User\\profiles\\*\\mcp.json
devin             C:\\Users\\ada\\AppData\\Roaming\\devin\\config.json
zed               C:\\Users\\ada\\AppData\\Roaming\\Zed\\settings.json
goose             C:\\Users\\ada\\AppData\\Roaming\\Block\\goose\\config\\config.yaml
cline             C:\\Users\\ada\\.cline\\data\\settings\\cline_mcp_settings.json
codex             C:\\Users\\ada\\.codex\\config.toml`;

test("a user's files on Linux", () => {
  expect(CLIENTS.flatMap(({ name }) => userFiles(name, "linux"))).toEqual(rows(LINUX));
});

test.each([
  ["darwin", DARWIN],
  ["win32", WINDOWS],
] as const)("a user's files on %s", (platform, table) => {
  const names = [...new Set(rows(table).map(([name]) => name))];
  expect(names.flatMap((name) => userFiles(name, platform))).toEqual(rows(table));
});

test("variables of the environment move files", () => {
  const env = {
    CODEX_HOME: "/codex",
    CLAUDE_CONFIG_DIR: "/claude",
    COPILOT_HOME: "/copilot",
    CLINE_DIR: "/cline",
  };
  const more = {
    XDG_CONFIG_HOME: "/xdg",
    OPENCODE_CONFIG: "/o.json",
    CONFIG_PATH: "/l.yaml",
    FAST_AGENT_HOME: "/fa",
  };
  const found = [
    "codex",
    "claude-code",
    "copilot",
    "cline",
    "zed",
    "opencode",
    "librechat",
    "fast-agent",
  ].map(
    (name) =>
      placesOf(clientOf(name), machine({ env: { ...env, ...more } })).filter(
        ({ scope }) => scope === "user",
      )[0]?.file,
  );
  expect(found).toEqual([
    "/codex/config.toml",
    "/claude/.claude.json",
    "/copilot/mcp-config.json",
    "/cline/data/settings/cline_mcp_settings.json",
    "/xdg/zed/settings.json",
    "/o.json",
    "/l.yaml",
    "/fa/fast-agent.yaml",
  ]);
});

test.each([
  ["/home/ada/.cursor/mcp.json", "cursor", "user"],
  ["/srv/shop/.cursor/mcp.json", "cursor", "project"],
  ["/srv/shop/.mcp.json", "claude-code", "project"],
  ["/home/ada/.mcp.json", "visual-studio", "user"],
  ["/srv/shop/.vscode/mcp.json", "vscode", "project"],
  ["/srv/shop/shop.code-workspace", "vscode", "project"],
  ["/home/ada/.config/Code/User/profiles/p1/mcp.json", "vscode", "user"],
  ["/srv/shop/.github/mcp.json", "copilot", "project"],
  ["/srv/shop/.codex/config.toml", "codex", "project"],
  ["/srv/librechat.yaml", "librechat", "project"],
  ["/srv/shop/mcp.json", undefined, undefined],
])("%s belongs to %s", (file, client, scope) => {
  const owner = ownerOf(file, machine());
  expect([owner?.client.name, owner?.scope]).toEqual([client, scope]);
});

test("what has to be remembered is kept where the platform keeps such things", () => {
  expect(stateDirectory(MACHINES.linux)).toBe("/home/ada/.local/state/mcp-taskgate");
  expect(stateDirectory(machine({ env: { XDG_STATE_HOME: "/state" } }))).toBe("/state/mcp-taskgate");
  expect(stateDirectory(MACHINES.darwin)).toBe("/Users/ada/Library/Application Support/mcp-taskgate");
  expect(stateDirectory(MACHINES.win32)).toBe("C:\\Users\\ada\\AppData\\Local\\mcp-taskgate");
});

function userFiles(name: string, platform: Platform) {
  return placesOf(clientOf(name), MACHINES[platform])
    .filter(({ scope }) => scope === "user")
    .map(({ file }) => [name, file]);
}

function rows(table: string): readonly (readonly [string, string])[] {
  return table
    .trim()
    .split("\n")
    .map((line) => [line.slice(0, 18).trim(), line.slice(18)] as const);
}

#!/usr/bin/env bash
# mcporter 0.12.3, which reads the files of VS Code and others by default, and a server in a project's .vscode/mcp.json
#
# Guessed: a server that mcporter takes over from VS Code's file is started as VS Code starts it: in the project's folder, with `${env:NAME}` and
# `${workspaceFolder}` filled in, in `args` as in `env`.
# Seen: it is started in .vscode, unless the entry has a cwd. Where `${env:NAME}` is the whole value of a variable, the server gets the name in place
# of the value; elsewhere the text stays as it is. A server with `${workspaceFolder}` in its args is not there at all, and nothing says why.
#
#   cwd: .vscode
#   args: ${env:GIVEN}
#   TOKEN: GIVEN
#   HEADER: Bearer ${env:GIVEN}
#   servers: plain
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts mcporter@0.12.3

cat > server.mjs <<'JS'
import { basename } from "node:path";
import { createInterface } from "node:readline";
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  const answer = (result) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
  const { TOKEN, HEADER } = process.env;
  const facts = [`cwd: ${basename(process.cwd())}`, `args: ${process.argv.slice(2).join(" ")}`, `TOKEN: ${TOKEN}`, `HEADER: ${HEADER}`];
  if (method === "initialize") answer({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } });
  else if (method === "tools/list") answer({ tools: [{ name: "started", inputSchema: { type: "object" } }] });
  else if (method === "tools/call") answer({ content: [{ type: "text", text: facts.join("\n") }] });
  else if (id !== undefined) answer({});
});
process.stdin.on("end", () => process.exit(0));
JS
mkdir -p project/.vscode home
cat > project/.vscode/mcp.json <<JSON
{
  "servers": {
    "plain": {
      "type": "stdio",
      "command": "node",
      "args": ["$dir/server.mjs", "\${env:GIVEN}"],
      "env": { "TOKEN": "\${env:GIVEN}", "HEADER": "Bearer \${env:GIVEN}" }
    },
    "inFolder": { "type": "stdio", "command": "node", "args": ["$dir/server.mjs", "\${workspaceFolder}"] }
  }
}
JSON
cd project
export HOME="$dir/home" XDG_CONFIG_HOME="$dir/home/.config" GIVEN=secret
mcporter() { timeout 60 node ../node_modules/mcporter/dist/cli.js "$@" < /dev/null; }
mcporter call plain.started --output text | tee ../seen
mcporter list --json > ../listed
node -p '"servers: " + JSON.parse(require("fs").readFileSync("../listed", "utf8")).servers.map(({ name }) => name).join(" ")' | tee -a ../seen
diff ../seen - <<'EXPECTED'
cwd: .vscode
args: ${env:GIVEN}
TOKEN: GIVEN
HEADER: Bearer ${env:GIVEN}
servers: plain
EXPECTED

/** How to look at the running gateway with other programs. */
export function printConnections(url: string, folder: string): void {
  const body = {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: {
      name: "longRunningOperation",
      arguments: { duration: 20, steps: 10 },
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "curl", version: "0" },
        "io.modelcontextprotocol/clientCapabilities": { extensions: { "io.modelcontextprotocol/tasks": {} } },
      },
    },
  };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "longRunningOperation",
  };
  const flags = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`);
  console.log(`
Both are left running until you press Ctrl+C. The store stays afterwards: ${folder}
The gateway:    ${url}
The inspector:  npx @modelcontextprotocol/inspector --cli ${url} --transport http --protocol-era modern --method tools/list
A task by hand:
curl ${url} ${flags.join(" ")} \\
  -d '${JSON.stringify(body)}'`);
}

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { Call } from "./row.ts";

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Calls a tool with the official client as it is when nothing is set, and no gateway. Gives what became of it, in words.
 * @throws when it does not fail as expected
 */
export async function callDirectly(
  { command, args, env }: Program,
  { call, expectedError }: { readonly call: Call; readonly expectedError: RegExp },
): Promise<string> {
  const client = new Client({ name: "taskgate-corpus", version: "1.0.0" });
  await client.connect(new StdioClientTransport({ command, args: [...args], env: { ...env } }));
  const startedAt = performance.now();
  try {
    const error = await client.callTool({ name: call.tool, arguments: { ...call.args } }).then(
      () => undefined,
      (reason: Error) => reason,
    );
    if (error === undefined || !expectedError.test(error.message))
      throw new Error(`expected ${expectedError}, got ${error?.message ?? "a result"}`);
    return `${error.message} after ${Math.round((performance.now() - startedAt) / 1_000)} s`;
  } finally {
    await client.close();
  }
}

// A server on its standard streams that says what its tools are told to say, whatever that does to whoever listens.

import { serve } from "../../support/stdio-servers/server.mjs";

const drained = (stream) => new Promise((resolve) => stream.once("drain", resolve));

serve({
  pid: () => String(process.pid),
  /** Lines as they are, with ID for the id of the call; then nothing. */
  say: ({ lines }, { id }) => {
    for (const line of lines) process.stdout.write(`${line.replaceAll("ID", JSON.stringify(id))}\n`);
  },
  /** The answer itself, with so many levels. */
  nest: ({ depth }, { id }) => {
    const value = "[".repeat(depth) + "]".repeat(depth);
    process.stdout.write(`{"jsonrpc":"2.0","id":${id},"result":{"content":[],"x":${value}}}\n`);
  },
  /** So many pieces of a line that never ends, or of several. */
  flood: async ({ to, piece, pieces }) => {
    const stream = process[to];
    for (let n = 0; n < pieces; n += 1) if (!stream.write(piece)) await drained(stream);
    return "flooded";
  },
  ask: ({ questions }) => {
    for (let id = 0; id < questions; id += 1) {
      const params = { message: "?", requestedSchema: { type: "object", properties: {} } };
      process.stdout.write(
        `${JSON.stringify({ jsonrpc: "2.0", id, method: "elicitation/create", params })}\n`,
      );
    }
  },
});

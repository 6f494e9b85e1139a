import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface Lifeline {
  readonly port: number;
  /** The first process that holds on, once it does; `cut` settles when it has died, with what it said. `release` tells it to go on. */
  readonly held: Promise<{ readonly cut: Promise<string>; release(): void }>;
}

/** A port that tells by a connection whether the process that made it still lives. */
export async function lifeline(): Promise<Lifeline> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const held = once(server, "connection").then(([socket]: Socket[]) => {
    let said = "";
    socket?.on("error", () => {}).on("data", (chunk) => (said += chunk));
    const cut = socket === undefined ? Promise.resolve("") : once(socket, "close").then(() => said);
    return { cut, release: () => void socket?.write("go on") };
  });
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, held };
}

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { randomFrom } from "../survival/support/seeded.ts";
import type { AnsweringServer, AnsweringServerOptions } from "./answering-server.ts";
import { mutatedBytes } from "./mutations.ts";
import { type Asked, isSlow, legacyReply, mistaken } from "./replies.ts";

/** The same over HTTP+SSE (2024-11-05, Transports): what is wrong comes on the one stream that there is for everything. */
export async function startAnsweringSse({
  seed,
  percent,
}: Pick<AnsweringServerOptions, "seed" | "percent">): Promise<AnsweringServer> {
  const streams = new Map<string, ServerResponse>();
  let mutated = 0;
  let counted = 0;
  const http = createServer((request, response) => {
    response.on("error", () => undefined);
    counted += 1;
    const random = randomFrom(seed + counted);
    if (request.method === "GET") {
      const id = `s${counted}`;
      streams.set(id, response);
      response.once("close", () => streams.delete(id));
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      const endpoint =
        random.between(0, 29) > 0
          ? `/messages?s=${id}`
          : random.one(["http://elsewhere.example/", "", "//x", "\u0000"]);
      response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
      return;
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => void take(Buffer.concat(chunks).toString("utf8"), request.url ?? "", response));
    const take = async (text: string, url: string, accepted: ServerResponse) => {
      const stream = streams.get(new URL(url, "http://x").searchParams.get("s") ?? "");
      const asked: Asked = text.startsWith("{") ? JSON.parse(text) : {};
      if (isSlow(asked)) await sleep(random.between(60, 160));
      const reply = legacyReply(asked);
      const share = asked.method === "initialize" ? percent / 5 : percent;
      const isWrong = random.between(1, 100) <= share;
      if (!isWrong) {
        accepted.writeHead(202).end();
        for (const message of reply) stream?.write(rightEvent(message));
        return;
      }
      if (asked.method !== undefined) mutated += 1;
      accepted.writeHead(random.one([202, 202, 202, 200, 400, 404, 500])).end();
      const said = mistaken(asked, reply, random);
      const events = Buffer.from(
        said.map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`).join(""),
      );
      stream?.write(random.between(0, 2) === 0 ? mutatedBytes(events, random) : events);
      if (random.between(0, 19) === 0) stream?.destroy();
      // As over stdio.
      await sleep(random.between(0, 80));
      for (const message of reply) stream?.write(rightEvent(message));
    };
  });
  http.keepAliveTimeout = 0;
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/sse`,
    get mutated() {
      return mutated;
    },
    close: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** Behind an end for whatever was said before, to somebody else as well: nobody could find the answer in it. */
function rightEvent(message: unknown): string {
  return `\n\nevent: message\ndata: ${JSON.stringify(message)}\n\n`;
}

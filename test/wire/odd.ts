/** Exchanges that a comparison of well-behaved programs would never see. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { ODD_ANSWERS } from "./odd-answers.ts";
import { ODD_REQUESTS } from "./odd-requests.ts";
import { type Asking, ask } from "./raw-client.ts";
import { type Recorded, type Recording, record } from "./recording.ts";
import { served } from "./served.ts";

export interface Odd {
  readonly asking: Asking;
  /** What the query says apart from that. */
  readonly query?: string;
  readonly answer: (response: ServerResponse, request: IncomingMessage, body: Buffer) => void;
}

const ODD: Readonly<Record<string, Odd>> = { ...ODD_ANSWERS, ...ODD_REQUESTS };

/** Answers each exchange as it says; its number is in the query. */
export async function startOddServer(): Promise<URL> {
  const all = Object.values(ODD);
  const url = await served((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const odd = all[Number(new URL(request.url ?? "", "http://any").searchParams.get("odd") ?? -1)];
      if (odd === undefined) response.writeHead(404).end();
      else odd.answer(response, request, Buffer.concat(chunks));
    });
  });
  return new URL("/mcp", url);
}

/** Every exchange, with whoever is at this address. */
export async function askOdd(url: URL): Promise<Recording> {
  const recording: Record<string, Recorded> = {};
  for (const [at, [name, { asking, query = "" }]] of Object.entries(ODD).entries()) {
    const path = `${url.pathname}?odd=${at}${query}`;
    recording[name] = record(await ask(url, { ...asking, path }));
  }
  return recording;
}

/** An OpenTelemetry collector as far as traces go: takes what real exporters send by OTLP over HTTP, in JSON, and keeps the spans. */

import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { onTestFinished, vi } from "vitest";
import { Conditions } from "./conditions.ts";
import type { Json } from "./modern-client.ts";

export interface SpanReceived {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for the root of a trace. */
  readonly parent: string | undefined;
  readonly kind: "internal" | "server" | "client";
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly events: readonly string[];
  readonly isError: boolean;
  /** In milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
  /** What the exporting process says of itself. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Export {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Collector {
  readonly url: string;
  readonly exports: readonly Export[];
  readonly spans: readonly SpanReceived[];
  /** The spans of this name, as soon as there are so many. */
  named(name: string, count?: number): Promise<readonly SpanReceived[]>;
  /** The first request, as soon as it is there. */
  exported(): Promise<Export>;
  /** Settles when nobody is connected. */
  left(): Promise<void>;
  close(): Promise<void>;
}

/** @param answer the status of each answer; `never`: there is none */
export async function startCollector({
  port = 0,
  answer = 200,
}: {
  readonly port?: number;
  readonly answer?: number | "never";
} = {}): Promise<Collector> {
  const exports: Export[] = [];
  const spans: SpanReceived[] = [];
  const conditions = new Conditions(
    () => `spans so far: ${spans.map(({ name }) => name).join(", ") || "none"}`,
  );
  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    exports.push({ path: request.url ?? "", headers: request.headers, body });
    if (request.headers["content-type"] === "application/json" && answer === 200)
      spans.push(...spansIn(body));
    conditions.check();
    if (answer !== "never") response.writeHead(answer, { "content-type": "application/json" }).end("{}");
  });
  const sockets = new Set<Socket>();
  http.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      conditions.check();
    });
  });
  await new Promise<void>((resolve) => http.listen(port, "127.0.0.1", resolve));
  const close = async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    exports,
    spans,
    named: (name, count = 1) =>
      conditions.found(() => {
        const found = spans.filter((span) => span.name === name);
        return found.length >= count ? found : undefined;
      }, `${count} of ${name}`),
    exported: () => conditions.found(() => exports[0], "a request"),
    left: async () => {
      await conditions.found(() => sockets.size === 0 || undefined, "every connection to be closed");
    },
    close,
  };
}

/** The variables with which an SDK sends its spans there, soon after they end. */
export function exportingTo(url: string): Readonly<Record<string, string>> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "20",
  };
}

/** Has these variables in this process until the test ends. */
export function withVariables(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());
}

const KINDS = { 1: "internal", 2: "server", 3: "client" } as const;

function spansIn(body: Buffer): SpanReceived[] {
  const { resourceSpans } = JSON.parse(body.toString("utf8")) as Json;
  return resourceSpans.flatMap(({ resource, scopeSpans }: Json) =>
    scopeSpans.flatMap(({ spans }: Json) =>
      spans.map(
        (span: Json): SpanReceived => ({
          name: span.name,
          traceId: span.traceId,
          spanId: span.spanId,
          parent: span.parentSpanId || undefined,
          kind: KINDS[span.kind as keyof typeof KINDS],
          attributes: attributesOf(span),
          links: (span.links ?? []).map(({ traceId, spanId }: Json) => ({ traceId, spanId })),
          events: (span.events ?? []).map(({ name }: Json) => name),
          isError: span.status?.code === 2,
          from: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
          to: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
          resource: attributesOf(resource),
        }),
      ),
    ),
  );
}

function attributesOf({ attributes = [] }: Json): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }: Json) => [key, Object.values(value as object)[0]]),
  );
}

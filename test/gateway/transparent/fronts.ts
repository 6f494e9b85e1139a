/** The two proxies that are compared, each in front of an origin and closed when the test ends. */

import type { Server } from "node:http";
import type httpProxy from "http-proxy";
import { onTestFinished } from "vitest";
import { type Forwarding, ReverseProxy } from "../../../src/proxy/reverse-proxy.ts";
import { Conditions } from "../../support/conditions.ts";
import { createBareProxy } from "./bare.ts";
import { listening } from "./origins.ts";
import { createProxied, type ProxiedOptions } from "./proxied.ts";

export interface Front {
  readonly url: URL;
  /** Connections of clients. */
  readonly sockets: number;
  /** Answers that are not finished, of those that were begun. */
  readonly pending: number;
  until(condition: () => boolean, what: string): Promise<void>;
}

export interface ProxyFront extends Front {
  readonly proxy: ReverseProxy;
  /** How many calls of `forward` have resolved, and what the others rejected with. */
  readonly over: number;
  readonly rejections: readonly unknown[];
}

export async function bareFront(target: URL, options: httpProxy.ServerOptions = {}): Promise<Front> {
  return front(createBareProxy(target, options), new Conditions(() => "bare http-proxy"));
}

export async function proxyFront(
  target: URL,
  forwarding: Partial<Forwarding> = {},
  {
    before,
    onRejected,
    idleMs,
  }: Pick<ProxiedOptions, "before" | "onRejected"> & { readonly idleMs?: number } = {},
): Promise<ProxyFront> {
  const proxy = new ReverseProxy(idleMs === undefined ? {} : { idleMs });
  const rejections: unknown[] = [];
  let over = 0;
  const conditions = new Conditions(() => `${over} over, rejected: ${rejections.join("; ") || "none"}`);
  const server = createProxied(proxy, target, {
    forwarding,
    ...(before && { before }),
    onOver: () => {
      over += 1;
      conditions.check();
    },
    onRejected: (error, response) => {
      onRejected?.(error, response);
      rejections.push(error);
      conditions.check();
    },
  });
  onTestFinished(() => proxy.close());
  // Getters, so spread by hand.
  const counted = await front(server, conditions);
  return {
    url: counted.url,
    until: counted.until,
    proxy,
    rejections,
    get sockets() {
      return counted.sockets;
    },
    get pending() {
      return counted.pending;
    },
    get over() {
      return over;
    },
  };
}

async function front(server: Server, conditions: Conditions): Promise<Front> {
  let sockets = 0;
  let pending = 0;
  server.on("connection", (socket) => {
    sockets += 1;
    socket.once("close", () => {
      sockets -= 1;
      conditions.check();
    });
  });
  server.on("request", (_request, response) => {
    pending += 1;
    conditions.check();
    response.once("close", () => {
      pending -= 1;
      conditions.check();
    });
  });
  const url = await listening(server);
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url,
    get sockets() {
      return sockets;
    },
    get pending() {
      return pending;
    },
    until: async (condition, what) => {
      await conditions.found(() => condition() || undefined, what);
    },
  };
}

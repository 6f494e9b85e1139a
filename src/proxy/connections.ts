import {
  type ClientRequest,
  type ClientRequestArgs,
  Agent as HttpAgent,
  type IncomingMessage,
} from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Duplex } from "node:stream";

export interface ServerConnectionsOptions {
  /** How long to keep an unused connection, in milliseconds. */
  readonly idleMs: number;
  /** How many unused connections to keep, for all servers and callers together; the longest idle goes first. 0: none. */
  readonly maxIdle: number;
}

/**
 * Connections to servers, reused only for requests of the same partition, and only if the server has sent exactly what it announced: the
 * next request would take bytes left over on a connection for its answer.
 */
export class ServerConnections {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor({ idleMs, maxIdle }: ServerConnectionsOptions) {
    const idle = new IdleConnections(maxIdle);
    // Node's own limit is per partition, of which there may be any number; `idle` limits all together.
    const options = { keepAlive: maxIdle > 0, maxFreeSockets: maxIdle, timeout: idleMs };
    this.#http = partitioned(new HttpAgent(options), idle);
    this.#https = partitioned(new HttpsAgent(options), idle);
  }

  agentFor({ protocol }: URL): HttpAgent {
    return protocol === "https:" ? this.#https : this.#http;
  }

  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

/** An option of a request that `node:http` passes on to its agent. */
export interface Partitioned {
  readonly partition?: string;
}

/**
 * Whether an answer has no body whatever its head says (RFC 9110 §6.4.1). A server that sends one all the same sends it after the end of
 * the answer.
 */
export function isBodiless(method: string | undefined, { statusCode }: IncomingMessage): boolean {
  return method === "HEAD" || statusCode === 204 || statusCode === 304;
}

class IdleConnections {
  readonly #max: number;
  /** Longest idle first, each with the function to call before it is used again. */
  readonly #idle = new Map<Duplex, () => void>();

  constructor(max: number) {
    this.#max = max;
  }

  add(socket: Duplex): void {
    // No request is waiting, so these bytes belong to none.
    const close = () => void socket.destroy();
    const forget = () => void this.#idle.delete(socket);
    socket.once("data", close).once("close", forget);
    this.#idle.set(socket, () => void socket.off("data", close).off("close", forget));
    const [oldest] = this.#idle.keys();
    if (this.#idle.size <= this.#max || oldest === undefined) return;
    this.#idle.delete(oldest);
    oldest.destroy();
  }

  take(socket: Duplex): void {
    this.#idle.get(socket)?.();
    this.#idle.delete(socket);
  }
}

/**
 * Makes an agent keep connections apart by partition, and count idle ones in `idle`. Node has one agent class for each of two protocols, so
 * a class of our own would have to be written twice.
 */
function partitioned<A extends HttpAgent>(agent: A, idle: IdleConnections): A {
  const getName = agent.getName.bind(agent);
  const keepSocketAlive = agent.keepSocketAlive.bind(agent);
  const reuseSocket = agent.reuseSocket.bind(agent);
  return Object.assign(agent, {
    getName: (options?: ClientRequestArgs & Partitioned) => `${getName(options)}:${options?.partition ?? ""}`,
    keepSocketAlive: (socket: Duplex) => {
      const isKept = keepSocketAlive(socket);
      idle.add(socket);
      return isKept;
    },
    reuseSocket: (socket: Duplex, request: ClientRequest) => {
      idle.take(socket);
      reuseSocket(socket, request);
    },
  });
}

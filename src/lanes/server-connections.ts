import {
  type ClientRequest,
  type ClientRequestArgs,
  Agent as HttpAgent,
  type IncomingMessage,
} from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Duplex } from "node:stream";

export interface ServerConnectionsOptions {
  /** How long a connection is kept when nobody uses it, in milliseconds. */
  readonly idleMs: number;
  /** How many are kept at a time, for all servers and callers together; the one that was idle longest goes first. 0: none. */
  readonly maxIdle: number;
}

/**
 * Connections to servers that are used again, but only by requests of the same partition, and only while the server has said exactly
 * what it announced. Bytes that are left over on a connection would be read as the answer to the next request on it.
 */
export class ServerConnections {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor({ idleMs, maxIdle }: ServerConnectionsOptions) {
    const idle = new IdleConnections(maxIdle);
    // Node's own limit is per partition, of which there may be any number; that of `idle` is for all of them.
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
 * Whether an answer has no body whatever its head says (RFC 9110 §6.4.1). A server that sends one all the same sends it after the end
 * of the answer.
 */
export function isBodiless(method: string | undefined, { statusCode }: IncomingMessage): boolean {
  return method === "HEAD" || statusCode === 204 || statusCode === 304;
}

class IdleConnections {
  readonly #max: number;
  /** With what is to be called when they are used again; the one that has been idle longest comes first. */
  readonly #idle = new Map<Duplex, () => void>();

  constructor(max: number) {
    this.#max = max;
  }

  add(socket: Duplex): void {
    // Nobody has asked for anything: what comes belongs to no request.
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
 * Has an agent keep connections apart by partition, and idle ones among all the others. Node has an agent for each of two protocols, so
 * that a class of our own would have to be written twice.
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

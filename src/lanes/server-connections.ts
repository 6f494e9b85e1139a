import {
  type AgentOptions,
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
    this.#http = new PartitionedHttpAgent(options, idle);
    this.#https = new PartitionedHttpsAgent(options, idle);
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

class PartitionedHttpAgent extends HttpAgent {
  readonly #idle: IdleConnections;

  constructor(options: AgentOptions, idle: IdleConnections) {
    super(options);
    this.#idle = idle;
  }

  override getName(options?: ClientRequestArgs & Partitioned): string {
    return `${super.getName(options)}:${options?.partition ?? ""}`;
  }

  override keepSocketAlive(socket: Duplex) {
    const isKept = super.keepSocketAlive(socket);
    this.#idle.add(socket);
    return isKept;
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#idle.take(socket);
    super.reuseSocket(socket, request);
  }
}

/** The same over TLS: Node has two classes, of which neither can be given the other's methods. */
class PartitionedHttpsAgent extends HttpsAgent {
  readonly #idle: IdleConnections;

  constructor(options: AgentOptions, idle: IdleConnections) {
    super(options);
    this.#idle = idle;
  }

  override getName(options?: ClientRequestArgs & Partitioned): string {
    return `${super.getName(options)}:${options?.partition ?? ""}`;
  }

  override keepSocketAlive(socket: Duplex) {
    const isKept = super.keepSocketAlive(socket);
    this.#idle.add(socket);
    return isKept;
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#idle.take(socket);
    super.reuseSocket(socket, request);
  }
}

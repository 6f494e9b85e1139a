import {
  CreateMessageResultWithToolsSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
} from "@modelcontextprotocol/core";
import type { ZodType } from "zod";
import { rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonRpcRequest } from "../protocol/jsonrpc.ts";
import { META } from "../protocol/modern.ts";
import type { InputRequest } from "../store/task-store.ts";

/** A server may suggest the key of its question, in the `_meta` of its request. */
export const KEY_HINT = "mcp-taskgate/key";
const MAX_KEY_LENGTH = 128;

interface Kind {
  readonly name: string;
  readonly answer: ZodType;
}

/** The kinds of questions that 2026-07-28 knows (MRTR §Server Requirements). */
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["elicitation/create", { name: "elicitation", answer: ElicitResultSchema }],
  ["sampling/createMessage", { name: "sampling", answer: CreateMessageResultWithToolsSchema }],
  ["roots/list", { name: "roots", answer: ListRootsResultSchema }],
]);

/** Keys are unique in the life of a call, whatever a server suggests (Tasks §Task Update Requests). */
export class InputKeys {
  readonly #used: Set<string>;
  readonly #suffix: string;

  /**
   * `used`: the keys from before this process had the call. `run`: which run of the call this is, if it ran before; answers from
   * then belong to other questions.
   */
  constructor(used: readonly string[] = [], run?: number) {
    this.#used = new Set(used);
    this.#suffix = run === undefined ? "" : `~${run}`;
  }

  /** All keys so far, in their order. */
  get used(): readonly string[] {
    return [...this.#used];
  }

  get count(): number {
    return this.#used.size;
  }

  /** A new key for the question. `given`: the server's own name for it, if it has one. */
  next(request: Pick<JsonRpcRequest, "method" | "params">, given?: string): string {
    const meta = request.params?._meta;
    const hint = given ?? (isObject(meta) ? meta[KEY_HINT] : undefined);
    const isName = typeof hint === "string" && hint !== "" && hint.length <= MAX_KEY_LENGTH;
    const wanted = isName ? `${hint}${this.#suffix}` : undefined;
    const isUsable = wanted !== undefined && !this.#used.has(wanted);
    const key = isUsable ? wanted : this.#minted(KINDS.get(request.method)?.name ?? "input");
    this.#used.add(key);
    return key;
  }

  #minted(name: string): string {
    let number = this.#used.size + 1;
    while (this.#used.has(`${name}-${number}${this.#suffix}`)) number += 1;
    return `${name}-${number}${this.#suffix}`;
  }
}

type InputRequests = Readonly<Record<string, InputRequest>>;

/** A server's questions as a modern client gets them: without those that 2026-07-28 does not know. */
export function modernInputRequests(asked: InputRequests): InputRequests {
  const known = Object.entries(asked).filter(([, request]) => isModernInput(request));
  return Object.fromEntries(known.map(([key, request]) => [key, modernInputRequest(request)]));
}

/** Whether 2026-07-28 knows this kind of question (MRTR §Server Requirements). */
export function isModernInput({ method }: InputRequest): boolean {
  return KINDS.has(method);
}

/** A question without what only made sense on the server's session: an `elicitationId`, and progress on the question. */
export function modernInputRequest({ params, ...asked }: InputRequest): InputRequest {
  if (params === undefined) return asked as InputRequest;
  const { _meta, elicitationId: _, ...rest } = params;
  const {
    progressToken: _token,
    [KEY_HINT]: _hint,
    [META.relatedTask]: _task,
    ...meta
  } = isObject(_meta) ? _meta : {};
  return {
    ...(asked as InputRequest),
    params: Object.keys(meta).length === 0 ? rest : { ...rest, _meta: meta },
  };
}

/**
 * Checks that an answer has the shape that its question requires. Accepts fields that the schema does not know.
 * @throws -32602 naming the key
 */
export function checkAnswer(key: string, method: string, answer: unknown): JsonObject {
  if (!isObject(answer)) throw rpc.invalidParams(`inputResponses[${JSON.stringify(key)}] must be an object`);
  const checked = KINDS.get(method)?.answer.safeParse(answer);
  if (checked !== undefined && !checked.success) {
    const [issue] = checked.error.issues;
    const where = [JSON.stringify(key), ...(issue?.path ?? []).map((part) => JSON.stringify(part))].join(
      "][",
    );
    throw rpc.invalidParams(`inputResponses[${where}]: ${issue?.message ?? "has the wrong shape"}`);
  }
  return answer;
}

/**
 * Reads `params.inputResponses`; absent: `{}`.
 * @throws -32602 when it is not an object
 */
export function readInputResponses(params: JsonObject): JsonObject {
  const responses = params.inputResponses;
  if (responses !== undefined && !isObject(responses))
    throw rpc.invalidParams("inputResponses must be an object");
  return responses ?? {};
}

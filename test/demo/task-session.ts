import { Client, StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client";
import {
  createTaskSessionFromClient,
  type RawClientDispatch,
  type TaskEnabledSession,
  type WithTasksOptions,
} from "@modelcontextprotocol/ext-tasks/client";

export interface ConnectedClient {
  /** `modern` for 2026-07-28. */
  readonly era: string | undefined;
  /** Whether the server at the other end has the Tasks extension. */
  readonly serverHasTasks: boolean;
  readonly tasks: TaskEnabledSession;
  /** What it is built on, for what has nothing to do with tasks. */
  readonly client: Client;
  close(): Promise<void>;
}

type OnInputRequest = NonNullable<WithTasksOptions["onInputRequest"]>;

const PROTOCOL_VERSION = "2026-07-28";
const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";
const CLIENT_INFO = { name: "taskgate-demo", version: "1.0.0" };
const CAPABILITIES = { elicitation: { form: {} }, extensions: { [TASKS_EXTENSION]: {} } };

/** Connects the official client over HTTP, with a session of the official Tasks extension on top. */
export function connect(url: string, onInputRequest: OnInputRequest): Promise<ConnectedClient> {
  return connectOver(new StreamableHTTPClientTransport(new URL(url)), url, onInputRequest);
}

/** The same over any transport; `endpointId` names what is at its other end. */
export async function connectOver(
  transport: Transport,
  endpointId: string,
  onInputRequest: OnInputRequest,
): Promise<ConnectedClient> {
  const client = new Client(CLIENT_INFO, {
    capabilities: CAPABILITIES,
    versionNegotiation: { mode: { pin: PROTOCOL_VERSION } },
  });
  await client.connect(transport);
  const tasks = createTaskSessionFromClient(client, {
    endpointId,
    onInputRequest,
    rawDispatch: rawDispatch(transport),
    v2RequestFraming: {
      protocolVersion: PROTOCOL_VERSION,
      clientInfo: CLIENT_INFO,
      clientCapabilities: CAPABILITIES,
    },
  });
  return {
    era: client.getProtocolEra(),
    serverHasTasks: client.getServerCapabilities()?.extensions?.[TASKS_EXTENSION] !== undefined,
    tasks,
    client,
    close: async () => {
      await tasks.close();
      await client.close();
    },
  };
}

type Message = Parameters<Transport["send"]>[0];
type Answer = Awaited<ReturnType<RawClientDispatch>>;

/** The client itself does not know results of the type `task`, so requests about tasks go round it, on its own transport. */
function rawDispatch(transport: Transport): RawClientDispatch {
  const waiting = new Map<unknown, (answer: Answer) => void>();
  const toClient = transport.onmessage;
  transport.onmessage = (message) => {
    const settle = "id" in message ? waiting.get(message.id) : undefined;
    if (settle !== undefined && "result" in message)
      settle({ kind: "result", result: message.result as never });
    else if (settle !== undefined && "error" in message)
      settle({ kind: "error", error: message.error as never });
    else toClient?.(message);
  };
  let lastId = 0;
  return async (request, { signal } = {}) => {
    lastId += 1;
    const id = `task-${lastId}`;
    const answered = new Promise<Answer>((resolve, reject) => {
      waiting.set(id, resolve);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      const message = { jsonrpc: "2.0", id, ...(request as object) } as Message;
      const sent = transport.send(message, signal === undefined ? {} : { requestSignal: signal });
      // An answer on an event stream comes after the sending; a failed sending is the answer.
      return await Promise.race([answered, sent.then(() => answered)]);
    } finally {
      waiting.delete(id);
      answered.catch(() => {});
    }
  };
}

import type { Flags } from "../config/flags.ts";
import { EXIT } from "../exit-codes.ts";
import { readable } from "../log/one-line.ts";
import { isObject, parseJson } from "../protocol/jsonrpc.ts";
import { addressIn } from "./api-client.ts";
import { misuse, type Terminal } from "./command.ts";
import { DEFAULT_GATEWAY } from "./flags.ts";

/** The health of the main port; the admin listener has more than one, each at its own path. */
const MAIN_PATH = "/-/health";
/** Shorter than a supervisor waits for a health check, so that it gets the reason. */
const PATIENCE_MS = 4_000;
/** A gateway answers with a word. */
const MAX_CHARACTERS = 1_000;

/** `mcp-taskgate health`: whether a gateway serves, for supervisors of containers without a shell. Returns the exit code. */
export async function runHealth({ url = DEFAULT_GATEWAY }: Flags, terminal: Terminal): Promise<number> {
  const address = addressIn(String(url));
  if (address === undefined)
    return misuse(
      terminal,
      `give the address of a gateway, such as ${DEFAULT_GATEWAY}; http or https, without a user or password`,
    );
  if (address.pathname === "/") address.pathname = MAIN_PATH;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(address, { redirect: "manual", signal });
    const status = await statusIn(response);
    if (status !== undefined && response.ok) {
      terminal.print(readable(status));
      return EXIT.done;
    }
    const isGateway = status !== undefined && response.status === 503;
    const where = `HTTP ${response.status} at ${address.origin}${address.pathname}`;
    terminal.say(
      `error: ${isGateway ? readable(status) : `${where}: no gateway, or not its path for health`}`,
    );
    return EXIT.failed;
  } catch (error) {
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    const reason = typeof code === "string" ? code : message;
    terminal.say(`error: nobody answers at ${address.origin} (${readable(reason)})`);
    return EXIT.unreachable;
  }
}

/** The word of a gateway's answer; `undefined` if it is none of a gateway's. */
async function statusIn({ body }: Response): Promise<string | undefined> {
  let text = "";
  for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (text.length > MAX_CHARACTERS) return undefined;
  }
  const answer = parseJson(text);
  return isObject(answer) && typeof answer.status === "string" ? answer.status : undefined;
}

import { isObject, type JsonObject } from "../../protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../../protocol/legacy.ts";
import { UpstreamFailure } from "../failure.ts";

/** The server's description of itself in its answer to `initialize`. */
export interface ServerDescription {
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  readonly serverInfo: JsonObject;
  readonly instructions?: string;
}

/** The gateway keeps the description and sends it to every client. */
const MAX_DESCRIPTION_LENGTH = 1_048_576;

/**
 * Reads the result of `initialize`.
 * @throws UpstreamFailure when it is too long, or names a protocol version that the gateway does not speak
 */
export function readDescription(result: JsonObject): ServerDescription {
  const { protocolVersion, capabilities, serverInfo, instructions } = result;
  if (typeof protocolVersion !== "string" || !LEGACY_VERSIONS.includes(protocolVersion)) {
    const message = `The server speaks protocol version ${JSON.stringify(protocolVersion)}, expected one of ${LEGACY_VERSIONS.join(", ")}`;
    throw new UpstreamFailure(message, { mayHaveRun: false });
  }
  const size = JSON.stringify(result).length;
  if (size > MAX_DESCRIPTION_LENGTH) {
    const message = `The server says ${size} characters of itself in answer to initialize, expected ${MAX_DESCRIPTION_LENGTH} at most`;
    throw new UpstreamFailure(message, { mayHaveRun: false });
  }
  return {
    protocolVersion,
    capabilities: isObject(capabilities) ? capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : {},
    ...(typeof instructions === "string" ? { instructions } : {}),
  };
}

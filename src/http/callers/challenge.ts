/** The content of `WWW-Authenticate` for a request that was refused for its token, or for want of one. */
export interface Challenge {
  /** Absent: there was no token that could be wrong (RFC 6750 §3.1). */
  readonly error?: "invalid_request" | "invalid_token" | "insufficient_scope";
  readonly description?: string;
  /** The address of the document that says how to get a token (RFC 9728 §5.1). */
  readonly resourceMetadata?: string | undefined;
  /** The scopes that a token needs. */
  readonly scopes: readonly string[];
}

/**
 * The challenge as a header value (RFC 6750 §3). The SDK's `bearerAuthChallengeResponse` does not serve: it names an error where there was
 * no token, has no challenge for 400, and puts an OAuth error in the body, where MCP clients expect one of JSON-RPC.
 */
export function bearerChallenge({ error, description, resourceMetadata, scopes }: Challenge): string {
  const params = {
    error,
    error_description: description,
    resource_metadata: resourceMetadata,
    scope: scopes.length === 0 ? undefined : scopes.join(" "),
  };
  const given = Object.entries(params).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quoted(value)}`],
  );
  return ["Bearer", given.join(", ")].join(" ").trimEnd();
}

/** RFC 6750 §3 allows no character that would end or escape a quoted string, so nothing has to be escaped. */
function quoted(value: string): string {
  return `"${value.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "?")}"`;
}

/** What `WWW-Authenticate` says to a client whose request was refused for its token, or for want of one. */
export interface Challenge {
  /** Absent: there was no token, and nothing is wrong with what is not there (RFC 6750 §3.1). */
  readonly error?: "invalid_request" | "invalid_token" | "insufficient_scope";
  readonly description?: string;
  /** Where the document is that says how to come by a token (RFC 9728 §5.1). */
  readonly resourceMetadata?: string | undefined;
  /** The scopes that it takes. */
  readonly scopes: readonly string[];
}

/**
 * The challenge as the value of the header (RFC 6750 §3). `bearerAuthChallengeResponse` of the SDK does not serve: it names an error where
 * there was no token, has no challenge for 400, and puts an OAuth error in the body, where clients of MCP expect one of JSON-RPC.
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

/** RFC 6750 §3 leaves out of its values what would end or escape a quoted string, and so nothing has to be escaped. */
function quoted(value: string): string {
  return `"${value.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "?")}"`;
}

/** What an error of the transport says of the call: it must not be sent again unless it has certainly not arrived. */

import { describe, expect, test } from "vitest";
import { toFailure, UpstreamFailure } from "../../src/upstream/failure.ts";

describe("the server was not reached", () => {
  test.each([
    ["nobody listens", errno("ECONNREFUSED", "connect")],
    ["the name is unknown", errno("ENOTFOUND", "getaddrinfo")],
    ["the connection took too long", errno("ETIMEDOUT", "connect")],
    [
      "it took too long at every address",
      aggregate("ETIMEDOUT", [errno("ETIMEDOUT", "connect"), errno("ETIMEDOUT", "connect")]),
    ],
    ["the certificate has expired", errno("CERT_HAS_EXPIRED")],
    ["the certificate is its own", errno("DEPTH_ZERO_SELF_SIGNED_CERT")],
    ["the certificate is another's", errno("ERR_TLS_CERT_ALTNAME_INVALID")],
    ["nobody vouches for the certificate", errno("UNABLE_TO_VERIFY_LEAF_SIGNATURE")],
  ])("when %s", (_, cause) => {
    const failure = toFailure(new TypeError("fetch failed", { cause }));
    expect(failure.message).toBe(`The server cannot be reached (${cause.code})`);
    expect(failure.facts.mayHaveRun).toBe(false);
  });
});

describe("the server may have run the call", () => {
  test.each([
    ["an open connection went dead", errno("ETIMEDOUT", "read")],
    ["an open connection was reset", errno("ECONNRESET", "read")],
    ["nobody knows which connection it was", errno("ETIMEDOUT")],
  ])("when %s", (_, cause) => {
    const failure = toFailure(new TypeError("fetch failed", { cause }));
    expect(failure.message).toBe(`The connection to the server broke: ${cause.message}`);
    expect(failure.facts.mayHaveRun).toBe(true);
  });
});

test("a failure stays what it is, however deep", () => {
  const failure = new UpstreamFailure("no", { mayHaveRun: false });
  expect(toFailure(new Error("outer", { cause: new Error("inner", { cause: failure }) }))).toBe(failure);
});

function errno(code: string, syscall?: string) {
  return Object.assign(new Error(`${syscall ?? "tls"} ${code}`), { code, syscall });
}

/** What Node has for a host with several addresses. */
function aggregate(code: string, errors: Error[]) {
  return Object.assign(new AggregateError(errors), { code });
}

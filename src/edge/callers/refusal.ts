import type { FailureFacts } from "../../upstreams/failure.ts";

/** How servers refuse a credential (RFC 6750 §3.1). Anything else says nothing of it. */
export function isRefusal({ status }: FailureFacts): boolean {
  return status === 401 || status === 403;
}

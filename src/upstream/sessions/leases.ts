import type { Lease } from "./pool.ts";

/** The lease, whose end somebody else wants to hear of as well. */
export function released(lease: Lease, over: () => void): Lease {
  const release: Lease["release"] = (state) => {
    over();
    lease.release(state);
  };
  return { session: lease.session, isReused: lease.isReused, release };
}

/** The lease with these headers on every request: its session was opened without them. */
export function withHeaders(lease: Lease, headers: Readonly<Record<string, string>>): Lease {
  const { session } = lease;
  return {
    ...lease,
    session: {
      request: (method, params, listener) =>
        session.request(method, params, { ...listener, headers: { ...headers, ...listener?.headers } }),
      notify: (method, params) => session.notify(method, params),
      respond: (id, answer) => session.respond(id, answer),
      hear: (message) => session.hear(message),
      setLogLevel: (level) => session.setLogLevel(level),
    },
  };
}

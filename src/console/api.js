// Speaks to the API of the listener that this page came from.

let token = "";

/** Who has no token, or the wrong one, is asked for it. */
export class NoToken extends Error {}

/** Nothing has this name, or nothing has it any more. */
export class NotThere extends Error {}

export function useToken(given) {
  token = given;
}

async function send(path, options = {}) {
  const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`/api/${path}`, { ...options, headers });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `HTTP ${response.status}`;
  const Fault = { 401: NoToken, 404: NotThere }[response.status] ?? Error;
  throw new Fault(detail);
}

export async function get(path) {
  return (await send(path)).json();
}

export async function cancel(name) {
  return (await send(`tasks/${encodeURIComponent(name)}/cancel`, { method: "POST" })).json();
}

export async function redeliver(webhook) {
  return (await send(`webhooks/${encodeURIComponent(webhook)}/redeliver`, { method: "POST" })).json();
}

/** Calls `onEvent` for each event; settles when the stream is over. What an event says is asked for, so none is read. */
export async function listen(onEvent, signal) {
  const { body } = await send("events", { signal });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    if (value.includes("data:")) onEvent();
  }
}

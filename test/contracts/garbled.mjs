// Changes the answers of a server in which a tool has said `garble HOW`, right before they are written.

const error = { code: -32000, message: "boom" };
const json = JSON.stringify;

/** By how; each is given the answer, and gives what is written in its place. */
const GARBLED = {
  NaN: ({ id }) => `{"jsonrpc":"2.0","id":${id},"result":{"content":[],"structuredContent":{"mean":NaN}}}`,
  "cut off": ({ id }) => `{"jsonrpc":"2.0","id":${id},"result":{"content":[`,
  "id null": () => json({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error" } }),
  "no id": ({ result }) => json({ jsonrpc: "2.0", result }),
  "another id": ({ result }) => json({ jsonrpc: "2.0", id: 5, result }),
  "id of another kind": ({ id, result }) => json({ jsonrpc: "2.0", id: [id], result }),
  "error null": (answer) => json({ ...answer, error: null }),
  "error is a text": ({ id }) => json({ jsonrpc: "2.0", id, error: "boom" }),
  "error without code": ({ id }) => json({ jsonrpc: "2.0", id, error: { message: "boom" } }),
  "error without message": ({ id }) => json({ jsonrpc: "2.0", id, error: { code: -32000 } }),
  "result null": ({ id }) => json({ jsonrpc: "2.0", id, result: null }),
  "result is a text": ({ id }) => json({ jsonrpc: "2.0", id, result: "yes" }),
  neither: ({ id }) => json({ jsonrpc: "2.0", id }),
  "no jsonrpc": ({ id, result }) => json({ id, result }),
  "jsonrpc 1.0": ({ id }) => json({ jsonrpc: "1.0", id, error }),
  "method beside it": (answer) => json({ ...answer, method: "tools/call" }),
  "text id": ({ id, ...answer }) => json({ id: String(id), ...answer }),
  "text with a fraction": ({ id, ...answer }) => json({ id: `${id}.0`, ...answer }),
  batch: (answer) => json([{ jsonrpc: "2.0", method: "notifications/x" }, answer]),
  "nothing before": (answer) => `\ufeff${json(answer)}`,
};

function garbled(chunk) {
  const text = Buffer.from(chunk).toString();
  return text.replace(/\{.*"garble ([^"]+)".*\}/g, (answer, how) => GARBLED[how](JSON.parse(answer)));
}

/** @param response what a server answers on over HTTP */
export function garbling(response) {
  const { write, end, writeHead } = response;
  response.write = (chunk, ...rest) => write.call(response, garbled(chunk), ...rest);
  response.end = (chunk, ...rest) =>
    chunk === undefined || typeof chunk === "function"
      ? end.call(response, chunk, ...rest)
      : end.call(response, garbled(chunk), ...rest);
  response.writeHead = (status, ...rest) => {
    response.removeHeader("content-length");
    const [headers, ...others] = rest.map((part) => withoutLength(part));
    return headers === undefined
      ? writeHead.call(response, status)
      : writeHead.call(response, status, headers, ...others);
  };
  return response;
}

function withoutLength(headers) {
  if (headers === null || typeof headers !== "object" || Array.isArray(headers)) return headers;
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-length"),
  );
}

/** @param output the standard output of a server over stdio */
export function garblingOutput(output) {
  const { write } = output;
  output.write = (chunk, ...rest) => write.call(output, garbled(chunk), ...rest);
}

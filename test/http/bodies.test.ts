import { expect, test } from "vitest";
import { read } from "../support/modern-client.ts";
import { asked, LIST_HEADERS, messageText, RawConnection, served } from "./served.ts";

test.for<[what: string, body: string | Buffer, code: number, id: unknown]>([
  ["nothing", "", -32700, null],
  ["half a message", '{"jsonrpc":"2.0","id":1', -32700, null],
  ["text that is no JSON", "tools/list", -32700, null],
  ["two messages", `${messageText()}${messageText()}`, -32700, null],
  ["a byte order mark", `\ufeff${messageText()}`, -32700, null],
  ["bytes that are no UTF-8", Buffer.from(messageText({ id: "caf\u00e9" }), "latin1"), -32700, null],
  ["UTF-16", Buffer.from(messageText(), "utf16le"), -32700, null],
  ["a string", '"tools/list"', -32600, null],
  ["a number", "1", -32600, null],
  ["null", "null", -32600, null],
  ["an empty batch", "[]", -32600, null],
  ["a batch", `[${messageText()}]`, -32600, null],
  ["no version of JSON-RPC", messageText({ jsonrpc: undefined }), -32600, 1],
  ["another version of JSON-RPC", messageText({ jsonrpc: "1.0" }), -32600, 1],
  ["no method", messageText({ method: undefined }), -32600, 1],
  ["a method that is no string", messageText({ method: ["tools/list"] }), -32600, 1],
  ["params that are an array", messageText({ params: [] }), -32600, 1],
  ["params that are null", messageText({ params: null }), -32600, 1],
  ["an id of null", messageText({ id: null }), -32600, null],
  ["a fractional id", messageText({ id: 1.5 }), -32600, null],
  ["an id that is a boolean", messageText({ id: true }), -32600, null],
  ["an id that is an object", messageText({ id: {} }), -32600, null],
  ["an id that no number can hold", messageText().replace('"id":1', '"id":9007199254740993'), -32600, null],
  ["a result", '{"jsonrpc":"2.0","id":7,"result":{}}', -32600, null],
  ["an error", '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}', -32600, null],
])("a body with %s is refused with 400", async ([, body, code, id]) => {
  const { client, server } = await served();
  const { status, headers, message } = await read(await client().post(body, { ...LIST_HEADERS }));
  expect(status).toBe(400);
  expect(headers["content-type"]).toBe("application/json");
  expect(message).toEqual({ jsonrpc: "2.0", id, error: { code, message: expect.any(String) } });
  expect(asked(server)).toEqual([]);
});

test.for([0, "", "x", 1, -1, "1", Number.MAX_SAFE_INTEGER, 'a "quoted"\u2028 id', "__proto__"])(
  "the id %j comes back as it was, on a result and on an error",
  async (id) => {
    const { client } = await served();
    expect((await client().send("tools/list", {}, { id })).message).toMatchObject({ id, result: {} });
    expect((await client().send("ping", {}, { id })).message).toMatchObject({ id, error: { code: -32601 } });
  },
);

test.for<string | undefined>([
  undefined,
  "",
  "text/plain",
  "application/jsonp",
  "application/json-seq",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=application/json",
  "text/plain, application/json",
])("a body of the type %j is refused with 415", async (contentType) => {
  const { client } = await served();
  const answer = await read(
    await client().post(messageText(), { ...LIST_HEADERS, "content-type": contentType }),
  );
  expect(answer.status).toBe(415);
  expect(answer.message).toMatchObject({ jsonrpc: "2.0", id: null, error: { code: -32600 } });
});

test.for([
  "application/json",
  "Application/JSON",
  "application/json; charset=utf-8",
  "application/json ;x=y",
])("a body of the type %j is read", async (contentType) => {
  const { client } = await served();
  const headers = { ...LIST_HEADERS, "content-type": contentType };
  expect((await read(await client().post(messageText(), headers))).status).toBe(200);
});

test("a body that says it is too large is refused before any of it was sent", async () => {
  const { client, url } = await served({ limits: { maxBodyBytes: 1_000 } });
  const answer = await new RawConnection(url)
    .post(url.pathname, { ...LIST_HEADERS, host: url.host, "content-length": 1_001 })
    .answer();
  expect(answer).toMatchObject({ status: 413, headers: { connection: "close" } });
  expect(JSON.parse(answer.body)).toMatchObject({ id: null, error: { code: -32600 } });
  expect((await client().send("tools/list")).status).toBe(200);
});

test("a body that turns out to be too large is refused, and the connection with it", async () => {
  const { client, url } = await served({ limits: { maxBodyBytes: 1_000 } });
  const chunk = `320\r\n${"x".repeat(800)}\r\n`;
  const answer = await new RawConnection(url)
    .post(url.pathname, { ...LIST_HEADERS, host: url.host, "transfer-encoding": "chunked" })
    .write(chunk)
    .write(chunk)
    .answer();
  expect(answer).toMatchObject({ status: 413, headers: { connection: "close" } });
  expect(JSON.parse(answer.body)).toMatchObject({ id: null, error: { code: -32600 } });
  expect((await client().send("tools/list")).status).toBe(200);
});

test("a body that is exactly as large as allowed is read", async () => {
  const { client } = await served({ limits: { maxBodyBytes: 1_000 } });
  const exact = messageText().padEnd(1_000, " ");
  expect((await read(await client().post(exact, { ...LIST_HEADERS }))).status).toBe(200);
  expect((await read(await client().post(`${exact} `, { ...LIST_HEADERS }))).status).toBe(413);
});

test("a body that arrives a byte at a time is read", async () => {
  const { url } = await served();
  const body = Buffer.from(messageText({ id: "\u20ac" }));
  const connection = new RawConnection(url).post(url.pathname, {
    ...LIST_HEADERS,
    host: url.host,
    connection: "close",
    "content-length": body.length,
  });
  for (const byte of body) connection.write(Buffer.of(byte));
  const answer = await connection.answer();
  expect(answer.status).toBe(200);
  expect(JSON.parse(Buffer.from(answer.body, "latin1").toString())).toMatchObject({
    id: "\u20ac",
    result: {},
  });
});

test("a client that leaves in the middle of its body is nobody's trouble", async () => {
  const { client, url, server } = await served();
  const connection = new RawConnection(url)
    .post(url.pathname, { ...LIST_HEADERS, host: url.host, "content-length": 1_000 })
    .write(messageText());
  expect((await client().send("tools/list")).status).toBe(200);
  connection.destroy();
  expect((await client().send("tools/list")).status).toBe(200);
  expect(asked(server)).toEqual(["tools/list", "tools/list"]);
});

test("a body that ends before it is complete is refused with 400 and reaches no server", async () => {
  const { url, server } = await served();
  const answer = await new RawConnection(url)
    .post(url.pathname, { ...LIST_HEADERS, host: url.host, "content-length": 1_000 })
    .write(messageText())
    .end()
    .answer();
  expect(answer.status).toBe(400);
  expect(asked(server)).toEqual([]);
});

test("arguments that are nested beyond any use do not bring the gateway down", async () => {
  const { client } = await served({ scripts: { "tools/call": (call) => call.text("done") } });
  const depth = 200_000;
  const body = JSON.stringify({
    ...JSON.parse(messageText({ method: "tools/call" })),
    params: { ...JSON.parse(messageText()).params, name: "anything", arguments: { deep: "HERE" } },
  }).replace('"HERE"', `${"[".repeat(depth)}${"]".repeat(depth)}`);
  const headers = { ...LIST_HEADERS, "mcp-method": "tools/call", "mcp-name": "anything" };
  const answer = await read(await client().post(body, headers));
  expect(answer.message).toMatchObject({
    id: null,
    error: { code: -32600, message: expect.stringContaining("limits.maxDepth") },
  });
  expect((await client().send("tools/list")).status).toBe(200);
});

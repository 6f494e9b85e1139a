/** Bodies of legacy clients: looked at within the limit, and passed on as they came, whatever they are. */

import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ask, head, open } from "../gateway/transparent/clients.ts";
import { fronted } from "./fronted.ts";
import { RawConnection } from "./served.ts";

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}';
const LOOPBACK = { host: "127.0.0.1", "content-type": "application/json" };

describe("what is passed on as it came", () => {
  test.for<[what: string, body: string | Buffer, headers: Readonly<Record<string, string>>]>([
    ["a request", CALL, {}],
    [
      "a request in odd clothes",
      ` {"id" :1,\r\n"jsonrpc":"2.0","method":"x\\/y","id":1.0,"params":{"n":1e3}}\n`,
      {},
    ],
    ["a batch of 2025-03-26", `[${CALL},{"jsonrpc":"2.0","method":"notifications/x"}]`, {}],
    ["an empty batch", "[]", {}],
    ["a number", "1", {}],
    ["null", "null", {}],
    ["half a message", CALL.slice(0, 20), {}],
    ["two messages", CALL + CALL, {}],
    ["text", "tools/list", { "content-type": "text/plain" }],
    ["no type at all", CALL, { "content-type": "" }],
    ["a byte order mark", `\ufeff${CALL}`, {}],
    [
      "bytes that are no UTF-8",
      Buffer.from('{"caf\u00e9":1}', "latin1"),
      { "content-type": "application/json" },
    ],
    ["UTF-16", Buffer.from(CALL, "utf16le"), {}],
    ["every byte there is", Buffer.from(Array.from({ length: 256 }, (_, at) => at)), {}],
    ["a compressed request", gzipSync(CALL), { "content-encoding": "gzip" }],
    ["a request that says it is compressed and is not", CALL, { "content-encoding": "br" }],
    [
      "a form",
      "grant_type=authorization_code&code=x",
      { "content-type": "application/x-www-form-urlencoded" },
    ],
    ["a message nested as deep as it may be", `{"params":{"x":${"[".repeat(126)}${"]".repeat(126)}}}`, {}],
    ["one that is not closed", `{"params":{"x":${"[".repeat(126)}`, {}],
    ["keys that are no names", '{"id":1,"method":"__proto__","__proto__":{"method":"tools/call"}}', {}],
    ["a method of ours by another name", '{"id":1,"method":"constructor","params":{}}', {}],
    ["an id that no number can hold", '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call"}', {}],
    ["an answer to nobody's question", '{"jsonrpc":"2.0","id":"taskgate:","result":{}}', {}],
  ])("%s", async ([, given, headers]) => {
    const { url, reached } = await fronted();
    const bytes = Buffer.from(given);
    const answer = await ask(url, {
      method: "POST",
      path: "/mcp",
      headers: { "content-type": "application/json", ...headers },
      body: bytes,
    });
    expect(answer.status).toBe(200);
    expect(reached()).toMatchObject([{ method: "POST", url: "/base/mcp", headers }]);
    const [request] = reached();
    expect(request?.body.equals(bytes)).toBe(true);
    expect(request?.headers["content-length"]).toBe(String(bytes.length));
    expect(answer.body.equals(bytes)).toBe(true);
  });

  test("nothing", async () => {
    const { url, reached } = await fronted();
    for (const framing of ["Content-Length: 0", "X-No: length"]) {
      await open(
        url,
        head("POST", "/mcp", ["Host: 127.0.0.1", framing]).replace("Host: gateway\r\n", ""),
      ).until("200 OK");
    }
    const chunked = ["Host: 127.0.0.1", "Transfer-Encoding: chunked"];
    await open(url, `${head("POST", "/mcp", chunked).replace("Host: gateway\r\n", "")}0\r\n\r\n`).until(
      "200 OK",
    );
    expect(reached().map(({ headers, body }) => [headers["content-length"], body.length])).toEqual([
      ["0", 0],
      ["0", 0],
      ["0", 0],
    ]);
  });

  test.for([
    ["GET", "/mcp"],
    ["DELETE", "/mcp"],
    ["GET", "/page"],
    ["DELETE", "/page"],
  ] as const)("the body that a %s of %s should not have", async ([method, path]) => {
    const { url, reached } = await fronted();
    for (const framing of [{ "content-length": "4" }, { "transfer-encoding": "chunked" }]) {
      expect((await ask(url, { method, path, body: "body", headers: framing })).body.toString()).toBe("body");
    }
    expect(reached().map(({ method, body }) => [method, body.toString()])).toEqual([
      [method, "body"],
      [method, "body"],
    ]);
  });

  test("a body that comes a byte at a time", async () => {
    const { url, reached } = await fronted();
    const body = Buffer.from('{"jsonrpc":"2.0","id":"\u20ac","method":"x"}');
    const headers = { ...LOOPBACK, connection: "close", "content-length": body.length };
    const connection = new RawConnection(url).post("/mcp", headers);
    for (const byte of body) connection.write(Buffer.of(byte));
    expect((await connection.answer()).status).toBe(200);
    expect(reached().map(({ body }) => body.toString())).toEqual([body.toString()]);
  });
});

describe("a body that is too large", () => {
  const limits = { maxBodyBytes: 1_000 };
  const chunk = `320\r\n${"x".repeat(800)}\r\n`;

  test.for(["/mcp", "/tested/mcp", "/mcp/messages", "/elsewhere"])(
    "is refused before any of it was sent, when it says so: %s",
    async (path) => {
      const { url, reached } = await fronted({ limits });
      const headers = { ...LOOPBACK, "content-length": 1_001 };
      const answer = await new RawConnection(url).post(path, headers).answer();
      expectTooLarge(answer);
      expect(reached()).toEqual([]);
      expect((await ask(url, { method: "POST", path, body: CALL })).status).toBe(200);
    },
  );

  test.for(["/mcp", "/elsewhere"])("is refused as soon as it turns out to be: %s", async (path) => {
    const { url, reached } = await fronted({ limits });
    const headers = { ...LOOPBACK, "transfer-encoding": "chunked" };
    const answer = await new RawConnection(url).post(path, headers).write(chunk).write(chunk).answer();
    expectTooLarge(answer);
    expect(reached()).toEqual([]);
    expect((await ask(url, { method: "POST", path, body: CALL })).status).toBe(200);
  });

  test.for(["PUT", "DELETE", "GET"])("is refused with %s as well", async (method) => {
    const { url, reached } = await fronted({ limits });
    const headers = { "content-length": "1001" };
    expect((await ask(url, { method, path: "/mcp", headers, body: "x".repeat(1_001) })).status).toBe(413);
    expect(reached()).toEqual([]);
  });

  test("is one byte larger than one that is passed on", async () => {
    const { url, reached } = await fronted({ limits });
    const exact = CALL.padEnd(1_000, " ");
    expect((await ask(url, { method: "POST", path: "/mcp", body: exact })).status).toBe(200);
    expect((await ask(url, { method: "POST", path: "/mcp", body: `${exact} ` })).status).toBe(413);
    expect(reached()).toHaveLength(1);
  });

  test("is measured as it came, and not as it would be without its compression", async () => {
    const { url } = await fronted({ limits });
    const body = gzipSync("x".repeat(100_000));
    const headers = { "content-encoding": "gzip" };
    expect((await ask(url, { method: "POST", path: "/mcp", headers, body })).status).toBe(200);
  });
});

describe("a body that is not complete", () => {
  test.for(["/mcp", "/elsewhere"])("is refused, and reaches no server: %s", async (path) => {
    const { url, reached } = await fronted();
    for (const framing of [{ "content-length": 1_000 }, { "transfer-encoding": "chunked" }]) {
      const answer = await new RawConnection(url)
        .post(path, { ...LOOPBACK, ...framing })
        .write(`44\r\n${CALL}`)
        .end()
        .answer();
      expect(answer.status).toBe(400);
    }
    expect(reached()).toEqual([]);
  });

  test("is nobody's trouble when the client leaves", async () => {
    const { url, reached } = await fronted();
    const headers = { ...LOOPBACK, "content-length": 1_000 };
    const connection = new RawConnection(url).post("/mcp", headers).write(CALL);
    await ask(url, { method: "POST", path: "/mcp", body: "before" });
    connection.destroy();
    await ask(url, { method: "POST", path: "/mcp", body: "after" });
    expect(reached().map(({ body }) => body.toString())).toEqual(["before", "after"]);
  });
});

function expectTooLarge(answer: Awaited<ReturnType<RawConnection["answer"]>>): void {
  expect(answer).toMatchObject({
    status: 413,
    headers: { connection: "close", "content-type": "application/json" },
  });
  expect(JSON.parse(answer.body)).toEqual({
    jsonrpc: "2.0",
    id: null,
    error: { code: -32600, message: "The body is larger than 1000 bytes" },
  });
}

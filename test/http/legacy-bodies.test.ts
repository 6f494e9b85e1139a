/** Bodies of legacy clients: looked at within the limit, and passed on as they came, whatever they are. */

import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ask } from "../gateway/transparent/clients.ts";
import { fronted } from "./fronted.ts";
import { RawConnection } from "./served.ts";

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}';
const LOOPBACK = { host: "127.0.0.1", "content-type": "application/json" };

describe("what is passed on as it came", () => {
  test.for<[what: string, body: string | Buffer, headers: Readonly<Record<string, string>>]>([
    ["a request", CALL, {}],
    [
      "a request in odd clothes",
      ` {"id" :1.0,\r\n"jsonrpc":"2.0","method":"x\\/y","params":{"n":1e3,"m":9007199254740993}}\n`,
      {},
    ],
    ["a batch of 2025-03-26", `[${CALL},{"jsonrpc":"2.0","method":"notifications/x"}]`, {}],
    ["an empty batch", "[]", {}],
    ["a number", "1", {}],
    ["null", "null", {}],
    ["a text type", CALL, { "content-type": "text/plain; charset=UTF-8" }],
    ["a coding that is none", CALL, { "content-encoding": "identity" }],
    ["the quoted name of UTF-8", CALL, { "content-type": 'application/json; charset="utf-8"' }],
    [
      "the same key twice in arguments",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1,"a":2,"__proto__":3}}}',
      {},
    ],
    ["a vendor's params", '{"jsonrpc":"2.0","id":1,"method":"acme/do","params":{"Name":"t"}}', {}],
    ["no type at all", CALL, { "content-type": "" }],
    ["a message nested as deep as it may be", `{"params":{"x":${"[".repeat(126)}${"]".repeat(126)}}}`, {}],
    ["a method of ours by another name", '{"id":1,"method":"constructor","params":{}}', {}],
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

  test.for([
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

/** Rates, policies and the refusal while stopping hold for what is read here: nothing passes that a server might read otherwise. */
describe("what is refused, because a server may read it otherwise", () => {
  const message = (members: string) => `{"jsonrpc":"2.0","id":1,${members}}`;

  test.for<[what: string, status: number, body: string | Buffer, headers?: Readonly<Record<string, string>>]>(
    [
      ["gzip", 415, gzipSync(CALL), { "content-encoding": "gzip" }],
      ["gzip and more", 415, gzipSync(CALL), { "content-encoding": "identity, x-gzip" }],
      ["deflate", 415, deflateSync(CALL), { "content-encoding": "DEFLATE" }],
      ["brotli", 415, brotliCompressSync(CALL), { "content-encoding": "br" }],
      ["compression that is only said", 415, CALL, { "content-encoding": "br" }],
      ["compression that is not said", 400, gzipSync(CALL)],
      ["UTF-16", 415, Buffer.from(CALL, "utf16le"), { "content-type": "application/json; charset=utf-16" }],
      ["a quoted charset", 415, CALL, { "content-type": 'application/json; x=y; Charset = "UTF-7"' }],
      ["latin1", 415, CALL, { "content-type": "application/json;charset=iso-8859-1" }],
      ["a form", 415, "method=tools/call", { "content-type": "application/x-www-form-urlencoded" }],
      [
        "a form that is JSON",
        415,
        '{"a":"&method=tools/call"}',
        { "content-type": "Application/X-WWW-Form-URLEncoded" },
      ],
      ["parts", 415, CALL, { "content-type": "multipart/form-data; boundary=x" }],
      ["yaml", 415, CALL, { "content-type": "application/yaml" }],
      ["UTF-16 that is not said", 400, Buffer.from(CALL, "utf16le")],
      ["UTF-32", 400, Buffer.from([...CALL].flatMap((letter) => [letter.charCodeAt(0), 0, 0, 0]))],
      ["a byte order mark", 400, `\ufeff${CALL}`],
      ["bytes that are no UTF-8", 400, Buffer.from('{"caf\u00e9":1}', "latin1")],
      ["NaN", 400, message('"method":"tools/call","params":{"x":NaN}')],
      ["a trailing comma", 400, message('"method":"tools/call",')],
      ["a comment", 400, `/**/${CALL}`],
      ["single quotes", 400, CALL.replaceAll('"', "'")],
      ["a line break in a text", 400, message('"method":"tools/\ncall"')],
      ["two messages", 400, CALL + CALL],
      ["half a message", 400, CALL.slice(0, 20)],
      ["a text before it", 400, `while(1);${CALL}`],
      ["nothing", 400, ""],
      ["blanks", 400, " \n"],
      ["two methods", 400, message('"method":"ping","method":"tools/call"')],
      ["two methods, one escaped", 400, message('"method":"ping","m\\u0065thod":"tools/call"')],
      ["a method in capitals beside it", 400, message('"method":"ping","METHOD":"tools/call"')],
      ["a method in capitals alone", 400, message('"Method":"tools/call"')],
      ["a method that ends at a NUL", 400, message('"method":"ping","method\\u0000x":"tools/call"')],
      ["params with a long s", 400, message('"method":"tools/call","param\u017f":{"name":"t"}')],
      ["two ids", 400, message('"id":2,"method":"tools/call"')],
      ["two params", 400, message('"method":"tools/call","params":{},"params":{"name":"t"}')],
      ["two names", 400, message('"method":"tools/call","params":{"name":"a","name":"t"}')],
      ["a name in capitals", 400, message('"method":"tools/call","params":{"Name":"t"}')],
      ["two tasks", 400, message('"method":"tools/call","params":{"name":"t","task":{},"task":{}}')],
      ["two members of _meta", 400, message('"method":"tools/call","params":{"_meta":{"a":1,"a":2}}')],
      ["a prototype", 400, message('"__proto__":{"method":"tools/call"}')],
      ["a prototype of params", 400, message('"method":"tools/call","params":{"__proto__":{"name":"t"}}')],
      ["a batch with one of those", 400, `[${CALL},${message('"Method":"tools/call"')}]`],
      [
        "a call whose id no number can hold",
        400,
        '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call"}',
      ],
      ["a call with a fraction as its id", 400, '{"jsonrpc":"2.0","id":1.5,"method":"tools/call"}'],
      ["a call without an id", 400, '{"jsonrpc":"2.0","method":"tools/call"}'],
      [
        "more members than any message has",
        400,
        message(Array.from({ length: 10_001 }, (_, at) => `"k${at}":1`).join()),
      ],
    ],
  )("%s", async ([, status, body, headers]) => {
    const { url, reached } = await fronted();
    for (const path of ["/mcp", "/base/mcp"]) {
      const answer = await ask(url, {
        method: "POST",
        path,
        headers: {
          "content-type": "application/json",
          "content-length": String(Buffer.from(body).length),
          ...headers,
        },
        body: Buffer.from(body),
      });
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        jsonrpc: "2.0",
        error: { message: expect.any(String) },
      });
    }
    expect(reached()).toEqual([]);
  });

  test.for(["GET", "DELETE", "OPTIONS"])("a body of %s, which has none", async (method) => {
    const { url, reached } = await fronted();
    const headers = { "content-length": String(CALL.length) };
    expect((await ask(url, { method, path: "/mcp", headers, body: CALL })).status).toBe(400);
    expect(reached()).toEqual([]);
  });

  test.for<[method: string, path: string, status: number]>([
    ["PUT", "/mcp", 405],
    ["PATCH", "/mcp", 405],
    ["TRACE", "/mcp", 405],
    ["TRACE", "/page", 405],
    ["REPORT", "/mcp", 501],
    ["PROPFIND", "/page", 501],
    ["PUT", "/base/mcp", 405],
    ["PUT", "/base/%6dcp/", 405],
  ])("%s of %s", async ([method, path, status]) => {
    const { url, reached } = await fronted();
    const answer = await ask(url, { method, path });
    expect(answer.status).toBe(status);
    expect(answer.headers.allow?.includes("GET") ?? false).toBe(status === 405);
    expect(reached()).toEqual([]);
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

  test.for(["DELETE", "GET"])("is refused with %s as well", async (method) => {
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
    await ask(url, { method: "POST", path: "/mcp", body: "1" });
    connection.destroy();
    await ask(url, { method: "POST", path: "/mcp", body: "2" });
    expect(reached().map(({ body }) => body.toString())).toEqual(["1", "2"]);
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

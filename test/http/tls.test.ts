/** A listener with a certificate (`listen.tls`): real clients, another certificate while it runs, and what cannot be used. */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { copyFile, writeFile } from "node:fs/promises";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { connect as connectTls, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Agent, fetch, request } from "undici";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { shownConfig } from "../../src/admin/status.ts";
import { readConfig } from "../../src/config/load.ts";
import { ConfigError, type Problem } from "../../src/config/problems.ts";
import { type Gateway, startGateway } from "../../src/gateway.ts";
import { validityFault } from "../../src/lib/certificate.ts";
import { createLog } from "../../src/log/log.ts";
import { Authority } from "../support/certificates.ts";
import { configFor, type GatewaySettings } from "../support/gateway.ts";
import { withoutPrograms } from "../support/required-programs.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { gate, textResult } from "../support/story.ts";
import { ENVELOPE, LIST_HEADERS, messageText } from "./served.ts";

const run = promisify(execFile);
const UP = '{"status":"ready"}';

describe.skipIf(withoutPrograms("TLS on the listener", "openssl", "curl"))(
  "a listener with a certificate",
  () => {
    /** A gateway with a certificate, whose files are in `server.crt` and `server.key`. */
    async function secured(settings: Partial<GatewaySettings> = {}) {
      const authority = await Authority.make();
      const tls = await authority.sign("server");
      const { opened, open } = gate();
      const server = await startScriptedServer({
        "tools/call": async (call) => {
          await opened;
          call.json(textResult("done"));
        },
      });
      onTestFinished(server.close);
      const lines: string[] = [];
      const config = configFor({ upstream: server.url, ...settings, listen: { tls, ...settings.listen } });
      const gateway = await startGateway(config, {
        log: createLog("info", { write: (line) => void lines.push(line) }),
      });
      onTestFinished(() => gateway.close());
      return {
        authority,
        tls,
        server,
        gateway,
        lines,
        release: open,
        url: new URL(gateway.url),
        ca: await authority.pem,
      };
    }

    const told = (lines: readonly string[], what: string) => lines.filter((line) => line.includes(what));

    test("is one for undici, for curl and for the official client", async () => {
      const { authority, gateway, ca, release } = await secured();
      release();
      expect(gateway.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
      const { url = "" } = gateway.routes[0] ?? {};
      expect(url).toMatch(/^https:/);

      const dispatcher = new Agent({ connect: { ca } });
      onTestFinished(() => dispatcher.close());
      expect(await (await fetch(`${gateway.url}/-/health`, { dispatcher })).text()).toBe(UP);
      await expect(fetch(`${gateway.url}/-/health`)).rejects.toThrow("fetch failed");

      const curl = await run("curl", [
        "-sS",
        "--cacert",
        authority.path("authority.crt"),
        `${gateway.url}/-/health`,
      ]);
      expect(curl.stdout).toBe(UP);

      const client = new Client({ name: "test", version: "0" });
      const trusting = (input: string | URL, init?: object) =>
        fetch(input, { ...init, dispatcher }) as unknown as Promise<Response>;
      await client.connect(
        new StreamableHTTPClientTransport(new URL(url), { fetch: trusting as typeof globalThis.fetch }),
      );
      expect(await client.callTool({ name: "t", arguments: {} })).toMatchObject(textResult("done"));
      await client.close();
    });

    test("names itself with https where clients log in", async () => {
      const { gateway, ca } = await secured({
        callers: {
          identify: "jwt",
          issuer: "https://login.example",
          audience: ["a"],
          scopes: [],
          clockToleranceMs: 0,
        },
      });
      const dispatcher = new Agent({ connect: { ca } });
      onTestFinished(() => dispatcher.close());
      const { body } = await request(`${gateway.url}/.well-known/oauth-protected-resource/mcp`, {
        dispatcher,
      });
      expect(await body.json()).toMatchObject({ resource: `${gateway.url}/mcp` });
    });

    test("speaks TLS 1.2 and 1.3, and nothing older", async () => {
      const { url, ca } = await secured();
      const speak = (version: "TLSv1.1" | "TLSv1.2" | "TLSv1.3") =>
        secureSocket(url, ca, { minVersion: version, maxVersion: version, ciphers: "DEFAULT:@SECLEVEL=0" });
      for (const version of ["TLSv1.2", "TLSv1.3"] as const)
        expect((await speak(version)).getProtocol()).toBe(version);
      await expect(speak("TLSv1.1")).rejects.toThrow(/alert protocol version|unsupported protocol/);
    });

    test("takes over another certificate for new connections, and keeps those that are open", {
      timeout: 60_000,
    }, async () => {
      const { authority, tls, gateway, url, ca, lines, server, release } = await secured({
        policy: { mode: "never" },
      });
      const first = await serialAt(url, ca);
      const agent = new HttpsAgent({ ca, keepAlive: true, maxSockets: 1 });
      onTestFinished(() => agent.destroy());
      const answer = post(gateway, agent);
      await server.arrival("tools/call");

      const next = await authority.sign("next");
      await copyFile(next.cert, tls.cert);
      await copyFile(next.key, tls.key);
      await vi.waitUntil(() => told(lines, "took over the new certificate").length === 1, {
        timeout: 30_000,
      });
      expect(await serialAt(url, ca)).not.toBe(first);
      // The call that was under way is answered on its connection, and so is the next.
      release();
      expect(await answer).toContain("done");
      expect(await post(gateway, agent)).toContain("done");
      expect(
        Object.values(agent.freeSockets)
          .flat()
          .map((socket) => serialOf(socket as TLSSocket)),
      ).toEqual([first]);

      const second = await serialAt(url, ca);
      await copyFile(authority.path("authority.crt"), tls.cert);
      await vi.waitUntil(() => told(lines, "the one before stays").length === 1, { timeout: 30_000 });
      expect(told(lines, "the one before stays")[0]).toContain("listen.tls.key: must be the key of cert");
      expect(await serialAt(url, ca)).toBe(second);
    });

    test("says what it was spoken to that is not TLS, once a minute", async () => {
      const { url, lines } = await secured();
      for (let n = 0; n < 3; n += 1) {
        const socket = connect(Number(url.port), url.hostname).on("error", () => undefined);
        socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await once(socket, "close");
      }
      expect(told(lines, "spoke HTTP without TLS to a port with TLS")).toHaveLength(1);
    });

    test("stops in spite of a connection that says nothing", async () => {
      const { url, gateway } = await secured();
      const socket = connect(Number(url.port), url.hostname).on("error", () => undefined);
      await once(socket, "connect");
      // The gateway knows of the connection once it has answered a later one.
      await secureSocket(url, undefined, { rejectUnauthorized: false });
      const closed = once(socket, "close");
      await gateway.close();
      await closed;
    });

    describe("of the configuration", () => {
      const servers = { a: { upstream: { url: "http://localhost/mcp" } } };
      const problemsOf = (tls: object): readonly Problem[] => {
        try {
          return readConfig({ listen: { tls }, servers }, {}).warnings.filter(({ path }) =>
            path.startsWith("listen.tls"),
          );
        } catch (error) {
          if (error instanceof ConfigError) return error.problems;
          throw error;
        }
      };

      test("is refused with the setting that is wrong, and what was expected", async () => {
        const authority = await Authority.make();
        const [{ cert, key }, other] = [await authority.sign("one", 365), await authority.sign("other", 365)];
        const encrypted = await authority.encrypt("one", "a secret");
        const garbage = authority.path("garbage.pem");
        await writeFile(garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        const cases: readonly (readonly [tls: object, ...problem: readonly string[]])[] = [
          [{ cert, key }],
          [{ cert, key: encrypted, passphrase: "a secret" }],
          [{ cert }, "listen.tls.key", "must be the path of a file in PEM, but is missing"],
          [{ cert, key: "/nowhere/a.key" }, "listen.tls.key", 'cannot be read: ENOENT, got "/nowhere/a.key"'],
          [
            { cert: "package.json", key },
            "listen.tls.cert",
            'must be the path of a file in PEM, got "package.json"',
          ],
          [{ cert, key: other.key }, "listen.tls.key", "must be the key of cert"],
          [{ cert: key, key: cert }, "listen.tls.cert", "must be a file with a certificate in PEM"],
          [{ cert: garbage, key }, "listen.tls.cert", "must be a file with a certificate in PEM"],
          [{ cert, key: garbage }, "listen.tls.key", "must be a file with a private key in PEM"],
          [{ cert, key: encrypted }, "listen.tls.passphrase", "is missing: the key is encrypted"],
          [
            { cert, key: encrypted, passphrase: "wrong" },
            "listen.tls.passphrase",
            "must be the passphrase of the key",
          ],
          [{ cert, key, passphrase: "" }, "listen.tls.passphrase", "must be a passphrase"],
        ];
        for (const [tls, path, message] of cases)
          expect(problemsOf(tls)).toEqual(path === undefined ? [] : [{ path, message }]);
      });

      test("shows operators where the files are, and never the passphrase", async () => {
        const authority = await Authority.make();
        const { cert } = await authority.sign("one");
        const tls = { cert, key: await authority.encrypt("one", "a secret"), passphrase: "a secret" };
        const { config } = readConfig({ listen: { tls }, servers }, {});
        expect(config.listen.tls).toEqual(tls);
        expect(shownConfig(config)).toMatchObject({ listen: { tls: { ...tls, passphrase: "***" } } });
      });

      test("is warned of when it is not valid, or not for long", async () => {
        const authority = await Authority.make();
        const tls = await authority.sign("short", 2);
        const [warning, ...others] = problemsOf(tls);
        expect(others).toEqual([]);
        expect(warning).toEqual({
          path: "listen.tls.cert",
          message: expect.stringMatching(/^expires on \d{4}-\d\d-\d\d, in 1 d/),
        });
        const day = 86_400_000;
        const certificate = { names: "", validFrom: 10 * day, validTo: 100 * day };
        expect(validityFault(certificate, 9 * day)).toMatch(
          /^is not valid before 1970-01-11: clients refuse it$/,
        );
        expect(validityFault(certificate, 101 * day)).toBe("expired on 1970-04-11: clients refuse it");
        expect(validityFault(certificate, 50 * day)).toBeUndefined();
      });
    });
  },
);

test("a listener without one says that it was spoken to in TLS, once a minute, and answers as before", async () => {
  const lines: string[] = [];
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const gateway = await startGateway(configFor({ upstream: server.url, admin: true }), {
    log: createLog("info", { write: (line) => void lines.push(line) }),
  });
  onTestFinished(() => gateway.close());
  for (const address of [gateway.url, gateway.adminUrl ?? "", gateway.url]) {
    const url = new URL(address);
    await expect(secureSocket(url, undefined, {})).rejects.toThrow();
  }
  expect(lines.filter((line) => line.includes("spoke TLS to a port without TLS"))).toHaveLength(1);

  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  socket.write("no HTTP at all\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 400 Bad Request/);
  socket.destroy();
});

async function secureSocket(url: URL, ca: string | undefined, options: object): Promise<TLSSocket> {
  const socket = connectTls({
    port: Number(url.port),
    host: url.hostname,
    ...(ca === undefined ? {} : { ca }),
    ...options,
  });
  onTestFinished(() => void socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

async function serialAt(url: URL, ca: string): Promise<string> {
  const socket = await secureSocket(url, ca, {});
  const serial = serialOf(socket);
  socket.destroy();
  return serial;
}

function serialOf(socket: TLSSocket): string {
  return (socket.getPeerCertificate(false) as DetailedPeerCertificate).serialNumber;
}

/** A call of a client that knows no tasks; the text of its answer. */
function post({ url }: Gateway, agent: HttpsAgent): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { ...LIST_HEADERS, "mcp-method": "tools/call", "mcp-name": "t" };
    const calling = httpsRequest(`${url}/mcp`, { method: "POST", headers, agent }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.once("end", () => resolve(text));
    });
    calling.once("error", reject);
    calling.end(messageText({ method: "tools/call", params: { name: "t", arguments: {}, _meta: ENVELOPE } }));
  });
}

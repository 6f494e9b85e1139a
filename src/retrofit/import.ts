import { stringify } from "yaml";
import { isOwnHeader } from "../config/headers.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Client, Platform } from "./clients.ts";
import { type Entry, entriesOf, fieldsOf, serverOf } from "./entries.ts";
import { UnusableFile } from "./files.ts";
import { FORMATS } from "./formats/formats.ts";
import type { Source } from "./plan.ts";
import { translated } from "./variables.ts";
import { startable, unwrapped } from "./wrapped.ts";

/** A reference to the environment for a value of the file. */
interface Secret {
  readonly variable: string;
  readonly of: string;
}

/**
 * The gateway's configuration for every server of a client's file, with the lines to say about it. Values of `env` and `headers` become
 * references to the environment.
 * @throws UnusableFile when no server is left
 */
export function gatewayFile(
  source: Source,
  file: string,
  platform: Platform,
): { readonly text: string; readonly lines: readonly string[] } {
  const { client, entries } = entriesOf(
    FORMATS[source.format].parse(source.text).value,
    source.client,
    source.format,
  );
  const names = new Names();
  const lines: string[] = [];
  const secrets: Secret[] = [];
  const servers: Record<string, JsonObject> = {};
  for (const entry of entries) {
    const imported = new Import(entry, client, names, platform);
    const upstream = imported.upstream();
    for (const line of imported.lines) lines.push(`${entry.name}: ${line}`);
    if (upstream === undefined) continue;
    secrets.push(...imported.secrets);
    servers[names.server(entry.name)] = { upstream, tasks: { fallback: "tools" } };
  }
  if (Object.keys(servers).length === 0)
    throw new UnusableFile(
      `${file}: has no server that the gateway could stand in front of${lines.map((line) => `\n  ${line}`).join("")}`,
    );
  const wanted = [...new Map(secrets.map((secret) => [secret.variable, secret])).values()];
  return {
    text: stringify({ store: { url: "level:./taskgate-data" }, servers }, { lineWidth: 0 }).trimEnd(),
    lines: [
      ...lines.map((line) => `note: ${line}`),
      ...(wanted.length > 0 ? ["Set these variables for the gateway:"] : []),
      ...wanted.map(({ variable, of }) => `  ${variable}  ${of}`),
    ],
  };
}

/** One server on its way into the gateway's file. */
class Import {
  readonly lines: string[] = [];
  readonly secrets: Secret[] = [];
  readonly #entry: Entry;
  readonly #client: Client;
  readonly #names: Names;
  readonly #platform: Platform;
  #isRefused = false;

  constructor(entry: Entry, client: Client, names: Names, platform: Platform) {
    this.#platform = platform;
    const changes = unwrapped(entry, client);
    this.#entry =
      changes === undefined ? entry : { ...entry, value: { ...entry.value, ...Object.fromEntries(changes) } };
    this.#client = client;
    this.#names = names;
  }

  /** The `upstream` section; `undefined`, and a line that says why, if there can be none. */
  upstream(): JsonObject | undefined {
    const { value } = this.#entry;
    if (value.enabled === false || value.disabled === true)
      this.lines.push("is switched off in the client, and is on in the gateway");
    const server = serverOf(this.#entry, this.#client);
    switch (server.kind) {
      case "other":
        this.lines.push(`left out: it ${server.reason}`);
        return undefined;
      case "local": {
        const [command = "", ...args] = plainCommand(server.words, this.#platform).map((word) =>
          this.#text(word, "its command"),
        );
        const env = this.#mapping(value[fieldsOf(this.#client).env], "env");
        const { cwd = value.working_directory } = value;
        const upstream = {
          command,
          args,
          env,
          cwd: typeof cwd === "string" ? this.#text(cwd, "cwd") : undefined,
        };
        return this.#result(upstream);
      }
      case "remote": {
        const isSecret = /[?@]/.test(server.url);
        const url = isSecret
          ? this.#reference(server.url, `${this.#entry.name}_URL`, "its URL")
          : this.#text(server.url, "its URL");
        const sent = Object.entries(server.headers).filter(
          ([name, text]) => !isOwnHeader(name) && text !== "",
        );
        const headers = {
          ...Object.fromEntries(
            sent.map(([name, text]) => [name, this.#reference(text, name, `header ${name}`)]),
          ),
          ...Object.fromEntries(
            server.fromEnv.map(({ name, prefix, variable }) => {
              this.secrets.push({ variable, of: `header ${name} of ${this.#entry.name}` });
              return [name, `${prefix}$\{${variable}}`];
            }),
          ),
        };
        if (Object.keys(headers).length === 0 && this.#client.logsIn === true)
          this.lines.push(
            "if the client has logged in to it: the gateway does not, and needs upstream.headers or forwardHeaders",
          );
        return this.#result({ url, headers });
      }
    }
  }

  #result(upstream: JsonObject): JsonObject | undefined {
    if (this.#isRefused) return undefined;
    const fields = Object.entries(upstream).filter(([, each]) => each !== undefined && !isEmpty(each));
    return Object.fromEntries(fields);
  }

  #mapping(given: unknown, what: string): JsonObject {
    if (!isObject(given)) return {};
    const texts = Object.entries(given).filter(([, each]) => each !== null);
    return Object.fromEntries(
      texts.map(([name, each]) => [name, this.#reference(String(each), name, `${what}.${name}`)]),
    );
  }

  /** The value as a reference to a variable, unless it consists of references already. */
  #reference(text: string, name: string, what: string): string {
    const { names } = translated(text, this.#client);
    if (names.length > 0) return this.#text(text, what);
    const variable = this.#names.variable(this.#entry.name, name, text);
    this.secrets.push({ variable, of: `${what} of ${this.#entry.name}` });
    return `$\{${variable}}`;
  }

  #text(given: string, what: string): string {
    const { text, names, refusal } = translated(given, this.#client);
    if (refusal !== undefined) {
      this.lines.push(`left out: ${refusal}, in ${what}`);
      this.#isRefused = true;
    }
    for (const variable of names)
      this.secrets.push({ variable, of: `${what} of ${this.#entry.name}, as in the client` });
    return text;
  }
}

/** Names that are good for the gateway, and not taken by another server or value. */
class Names {
  readonly #servers = new Set<string>();
  readonly #values = new Map<string, string>();

  server(given: string): string {
    const plain =
      given
        .replace(/[^A-Za-z0-9._-]/g, "-")
        .replace(/^[^A-Za-z0-9]/, "s")
        .slice(0, 60) || "server";
    const name = this.#free(plain, (each) => this.#servers.has(each), "-");
    this.#servers.add(name);
    return name;
  }

  /** A variable of this name, or of the server's and this name if another server has another value under it. */
  variable(server: string, given: string, value: string): string {
    const isTaken = (name: string) => this.#values.has(name) && this.#values.get(name) !== value;
    const isHeader = given.includes("-") || given === "Authorization";
    const [short, long] = [upper(given), upper(`${server}_${given}`)];
    const name = this.#free(isHeader || isTaken(short) ? long : short, isTaken, "_");
    this.#values.set(name, value);
    return name;
  }

  #free(name: string, isTaken: (name: string) => boolean, between: string): string {
    let [free, number] = [name, 1];
    while (isTaken(free)) {
      number += 1;
      free = `${name}${between}${number}`;
    }
    return free;
  }
}

/** `cmd /c npx …` is `npx …` where npx is no script of the command interpreter. */
function plainCommand(words: readonly string[], platform: Platform): readonly string[] {
  if (platform === "win32") return startable(words, platform);
  const [command = "", flag = "", ...rest] = words;
  const isShell = /^(?:.*[\\/])?cmd(?:\.exe)?$/i.test(command) && /^\/c$/i.test(flag);
  return isShell && rest.length > 0 ? rest : words;
}

function upper(text: string): string {
  return text
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^(?=\d)/, "_");
}

function isEmpty(value: unknown): boolean {
  return (Array.isArray(value) && value.length === 0) || (isObject(value) && Object.keys(value).length === 0);
}

/** Certificates of a test's own, made with openssl. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";

const run = promisify(execFile);

/** A folder with an authority and what it has signed. It is gone when the test ends. */
export class Authority {
  readonly folder: string;

  static async make(): Promise<Authority> {
    const folder = await mkdtemp(join(tmpdir(), "taskgate-certificates-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const authority = new Authority(folder);
    await authority.#openssl(
      "req",
      "-x509",
      ...newKey("authority"),
      "-out",
      "authority.crt",
      "-days",
      "2",
      "-subj",
      "/CN=test",
    );
    return authority;
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** The authority's own certificate, as PEM. */
  get pem(): Promise<string> {
    return readFile(this.path("authority.crt"), "utf8");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Signs a certificate for this machine, in `NAME.crt` with `NAME.key`. Gives the paths. */
  async sign(name: string, days = 2): Promise<{ readonly cert: string; readonly key: string }> {
    await this.#openssl("req", "-new", ...newKey(name), "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    await writeFile(this.path(`${name}.ext`), "subjectAltName=DNS:localhost,IP:127.0.0.1");
    const by = ["-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial", "-days", String(days)];
    await this.#openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...by,
      "-out",
      `${name}.crt`,
      "-extfile",
      `${name}.ext`,
    );
    return { cert: this.path(`${name}.crt`), key: this.path(`${name}.key`) };
  }

  /** The key of `NAME.key` encrypted. Gives its path. */
  async encrypt(name: string, passphrase: string): Promise<string> {
    const out = `${name}.encrypted.key`;
    await this.#openssl(
      "pkcs8",
      "-topk8",
      "-in",
      `${name}.key`,
      "-passout",
      `pass:${passphrase}`,
      "-out",
      out,
    );
    return this.path(out);
  }

  #openssl(...args: readonly string[]) {
    return run("openssl", args, { cwd: this.folder });
  }
}

function newKey(name: string): string[] {
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  return [...kind, "-keyout", `${name}.key`];
}

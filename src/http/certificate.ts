import { readFile } from "node:fs/promises";
import type { Server } from "node:tls";
import type { Logger } from "pino";
import type { TlsConfig } from "../config/config.ts";
import {
  type Certificate,
  CertificateFault,
  type CertificateText,
  dateOf,
  readCertificate,
  validityFault,
} from "../lib/certificate.ts";

/** How often to look at the files. A change counts when two looks have found the same: certificate and key are written one after the other. */
const LOOK_MS = 2_000;

export interface ListenerCertificateOptions {
  readonly files: TlsConfig;
  readonly log: Logger;
  readonly lookMs?: number;
}

/**
 * The certificate of a listener. Follows its files: new connections get what is in them, those that are open keep theirs. A certificate that
 * cannot be used changes nothing.
 */
export class ListenerCertificate {
  readonly #options: ListenerCertificateOptions;
  #text: CertificateText;
  #certificate: Certificate;
  /** What was last told of its times. */
  #told: string | undefined;

  /** @throws Error that names the setting, when the files cannot be used */
  static async open(options: ListenerCertificateOptions): Promise<ListenerCertificate> {
    const found = await look(options.files);
    if (!("text" in found)) throw new Error(found.fault);
    return new ListenerCertificate(options, found.text, read(found.text));
  }

  private constructor(options: ListenerCertificateOptions, text: CertificateText, certificate: Certificate) {
    this.#options = options;
    this.#text = text;
    this.#certificate = certificate;
    this.#tellValidity();
  }

  /** What a server is to be made with. */
  get text(): CertificateText {
    return this.#text;
  }

  /** Gives a server the certificate whenever the files have another, until the server is closed. */
  follow(server: Pick<Server, "setSecureContext" | "once">): void {
    const { files, lookMs = LOOK_MS } = this.#options;
    let before = keyOf({ text: this.#text });
    let settled = before;
    let isOver = false;
    let timer: NodeJS.Timeout | undefined;
    const lookLater = () => {
      if (!isOver) timer = setTimeout(() => void lookOnce(), lookMs).unref();
    };
    const lookOnce = async () => {
      const found = await look(files);
      const now = keyOf(found);
      if (!isOver && now === before && now !== settled) {
        settled = now;
        this.#take(found, server);
      }
      before = now;
      this.#tellValidity();
      lookLater();
    };
    lookLater();
    server.once("close", () => {
      isOver = true;
      clearTimeout(timer);
    });
  }

  #take(found: Found, server: Pick<Server, "setSecureContext">): void {
    const { log } = this.#options;
    try {
      if (!("text" in found)) throw new Error(found.fault);
      if (keyOf(found) === keyOf({ text: this.#text })) return;
      const certificate = read(found.text);
      server.setSecureContext({ ...found.text, ...TLS });
      this.#text = found.text;
      this.#certificate = certificate;
      const { names, validTo } = certificate;
      log.info({ names, until: dateOf(validTo) }, "listen.tls: took over the new certificate");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error(`the new certificate cannot be used, and the one before stays: ${reason}`);
    }
  }

  /** Once for each thing that there is to tell. */
  #tellValidity(): void {
    const fault = validityFault(this.#certificate);
    const { validTo } = this.#certificate;
    const what = fault && `${fault.split(" ", 1)[0]} ${validTo}`;
    if (what !== undefined && what !== this.#told)
      this.#options.log.warn({ setting: "listen.tls.cert" }, `the certificate of the listener ${fault}`);
    this.#told = what;
  }
}

/** What holds for every connection (RFC 9325 §3.1.1). */
export const TLS = { minVersion: "TLSv1.2" } as const;

type Found = { readonly text: CertificateText } | { readonly fault: string };

async function look({ cert, key, passphrase }: TlsConfig): Promise<Found> {
  try {
    const [certText, keyText] = await Promise.all([readFile(cert, "utf8"), readFile(key, "utf8")]);
    return { text: { cert: certText, key: keyText, passphrase } };
  } catch (error) {
    const { path, code } = error as NodeJS.ErrnoException;
    return { fault: `listen.tls.${path === key ? "key" : "cert"}: cannot be read: ${code}` };
  }
}

/** @throws Error that names the setting */
function read(text: CertificateText): Certificate {
  try {
    return readCertificate(text);
  } catch (error) {
    if (!(error instanceof CertificateFault)) throw error;
    throw new Error(`listen.tls.${error.of}: ${error.message}`, { cause: error });
  }
}

function keyOf(found: Found): string {
  return "text" in found ? `${found.text.cert}\n${found.text.key}` : found.fault;
}

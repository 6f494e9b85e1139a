import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { durationText } from "./duration-text.ts";

/** A certificate, with those above it, and its key, as PEM. */
export interface CertificateText {
  readonly cert: string;
  readonly key: string;
  /** Of the key, if that is encrypted. */
  readonly passphrase?: string | undefined;
}

/** What the first certificate says. */
export interface Certificate {
  /** For which names it is good, such as `DNS:tools.example`. */
  readonly names: string;
  /** Milliseconds of the wall clock. */
  readonly validFrom: number;
  readonly validTo: number;
}

/** Why a certificate cannot be used. The message says what was expected, and quotes nothing. */
export class CertificateFault extends Error {
  override name = "CertificateFault";
  readonly of: keyof CertificateText;

  constructor(of: keyof CertificateText, expected: string, cause?: unknown) {
    super(expected, { cause });
    this.of = of;
  }
}

/** @throws CertificateFault when a server could not use the two */
export function readCertificate(text: CertificateText): Certificate {
  const certificate = parse(text.cert);
  const key = parseKey(text);
  if (!certificate.checkPrivateKey(key)) throw new CertificateFault("key", "must be the key of cert");
  try {
    createSecureContext(text);
  } catch (cause) {
    // Such as a key that is too small for OpenSSL, or a certificate further up that cannot be read.
    throw new CertificateFault("cert", `cannot be used: ${reasonOf(cause)}`, cause);
  }
  const { subjectAltName, subject, validFrom, validTo } = certificate;
  return {
    names: subjectAltName ?? subject ?? "no name",
    validFrom: Date.parse(validFrom),
    validTo: Date.parse(validTo),
  };
}

/** So long before its end a certificate should have been renewed. */
const SOON_MS = 14 * 24 * 3_600_000;

/** What is wrong with the times of a certificate. `undefined`: nothing. @param now of the wall clock */
export function validityFault({ validFrom, validTo }: Certificate, now = Date.now()): string | undefined {
  if (now < validFrom) return `is not valid before ${dateOf(validFrom)}: clients refuse it`;
  if (now > validTo) return `expired on ${dateOf(validTo)}: clients refuse it`;
  return validTo - now < SOON_MS
    ? `expires on ${dateOf(validTo)}, in ${durationText(validTo - now)}`
    : undefined;
}

export function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function parse(cert: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (cause) {
    throw new CertificateFault("cert", "must be a file with a certificate in PEM", cause);
  }
}

function parseKey({ key, passphrase }: CertificateText): KeyObject {
  try {
    return createPrivateKey({ key, format: "pem", ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    if (!/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(key))
      throw new CertificateFault("key", "must be a file with a private key in PEM", cause);
    throw new CertificateFault(
      "passphrase",
      passphrase === undefined ? "is missing: the key is encrypted" : "must be the passphrase of the key",
      cause,
    );
  }
}

function reasonOf(cause: unknown): string {
  const { reason, message } = cause as { readonly reason?: string; readonly message?: string };
  return reason ?? message ?? String(cause);
}

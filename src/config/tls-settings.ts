import { readFileSync } from "node:fs";
import { CertificateFault, readCertificate, validityFault } from "../lib/certificate.ts";
import { section, setting, text } from "./fields.ts";
import { pemPath } from "./pem.ts";
import { type Problem, textAt } from "./problems.ts";

export const tlsSection = section({
  cert: pemPath().describe(
    "File with the listener's certificate and those that lead to its authority, in PEM. The port then speaks HTTPS (TLS 1.2 or later) and nothing else. The gateway reads both files again when they change.",
  ),
  key: pemPath().describe("File with the key of `cert`, in PEM."),
  passphrase: setting(text("a passphrase"), "Of `key`, if it is encrypted. Take it from the environment."),
});

/** A certificate and a key that do not go together. Checks the document even if the schema rejects some of it. */
export function tlsConflicts(document: unknown): readonly Problem[] {
  const { fault } = certificateIn(document);
  return fault === undefined ? [] : [{ path: `listen.tls.${fault.of}`, message: fault.message }];
}

export function tlsWarnings(document: unknown): readonly Problem[] {
  const { certificate } = certificateIn(document);
  const message = certificate && validityFault(certificate);
  return message === undefined ? [] : [{ path: "listen.tls.cert", message }];
}

/** Neither: there is none, or the schema says what is wrong with the files. */
function certificateIn(document: unknown) {
  const [cert, key, passphrase] = ["cert", "key", "passphrase"].map((name) =>
    textAt(document, ["listen", "tls", name]),
  );
  if (cert === undefined || key === undefined) return {};
  let files: readonly string[];
  try {
    files = [cert, key].map((path) => readFileSync(path, "utf8"));
  } catch {
    return {};
  }
  const [certText = "", keyText = ""] = files;
  if (!files.every((file) => file.includes("-----BEGIN "))) return {};
  try {
    return { certificate: readCertificate({ cert: certText, key: keyText, passphrase }) };
  } catch (error) {
    if (error instanceof CertificateFault) return { fault: error };
    throw error;
  }
}

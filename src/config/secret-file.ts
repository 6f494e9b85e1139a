import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { Environment } from "./environment.ts";

/** More than any key or token has. */
const MAX_BYTES = 65_536;

/** What a file holds, or why that cannot be used; never both. No reason repeats what is in the file. */
export type FileText = { readonly text: string } | { readonly fault: string };

/**
 * The text of a small file, without the newline at its end. A name without a folder is a file of `$CREDENTIALS_DIRECTORY`, where systemd puts
 * what a unit loads by `LoadCredential` (systemd.exec(5), Credentials).
 */
export function readSecretFile(name: string, env: Environment): FileText {
  const place = placeOf(name, env);
  if ("fault" in place) return place;
  const { path } = place;
  let file: number | undefined;
  try {
    // Nobody may ever write into a named pipe, and opening one waits for that.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) return { fault: `the file ${path} is no regular file` };
    const bytes = readStart(file);
    if (bytes.length > MAX_BYTES) return { fault: `the file ${path} has more than 64 KB` };
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes)
      .replace(/\r?\n$/, "");
    if (text === "") return { fault: `the file ${path} is empty` };
    if (text.includes("\0")) return { fault: `the file ${path} is no text` };
    return { text };
  } catch (error) {
    if (error instanceof TypeError) return { fault: `the file ${path} is no text in UTF-8` };
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return { fault: `the file ${path} cannot be read (${code})` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function placeOf(name: string, env: Environment): { readonly path: string } | { readonly fault: string } {
  if (isAbsolute(name)) return { path: name };
  if (name === "" || name === "." || name === ".." || /[/\\]/.test(name))
    return { fault: `file:${name} must be an absolute path, or the name of a systemd credential` };
  const folder = env.CREDENTIALS_DIRECTORY;
  if (folder === undefined || folder === "")
    return {
      fault: `file:${name} is a systemd credential (LoadCredential), but CREDENTIALS_DIRECTORY is not set; elsewhere give an absolute path`,
    };
  return { path: join(folder, name) };
}

/** What is in the file, or the first bytes of it where that is more than a secret has. */
function readStart(file: number): Buffer {
  const buffer = Buffer.alloc(MAX_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(file, buffer, length, buffer.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.subarray(0, length);
}

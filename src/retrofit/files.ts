import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** A file cannot be used, for a reason in plain words. */
export class UnusableFile extends Error {}

/** Files of clients hold their history as well; none is known to come near this. */
const MAX_BYTES = 64 * 1_048_576;
const OWNER_ONLY = 0o600;
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "you may not read or write it, or its folder",
  EPERM: "you may not read or write it, or its folder",
  EROFS: "is on a read-only file system",
  EISDIR: "is a directory",
  ENOTDIR: "does not exist",
  ELOOP: "is a symbolic link that leads to itself",
  ENOSPC: "cannot be written: the disk is full",
};

/** The text of a file. @throws UnusableFile */
export function readText(file: string): Promise<string> {
  return explained(file, async () => {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw new UnusableFile(`is larger than ${MAX_BYTES} bytes`);
    const bytes = await readFile(file);
    try {
      // The mark that some editors put first is part of the text.
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new UnusableFile("is not UTF-8");
    }
  });
}

/** The same file under its one name, whatever symbolic links lead to it. @throws UnusableFile */
export function realFile(file: string): Promise<string> {
  return explained(file, () => realpath(file));
}

/**
 * Puts a text in the place of a file's, at once and for good, and keeps its mode. Gives `false` and does nothing if the file has changed.
 * @param file not a symbolic link, which would be replaced
 * @throws UnusableFile
 */
export function replaceText(file: string, expected: string, text: string): Promise<boolean> {
  return explained(file, async () => {
    const { mode } = await stat(file);
    const temporary = await written(file, text, mode);
    try {
      const isSame = (await readText(file)) === expected;
      if (isSame) await rename(temporary, file);
      return isSame;
    } finally {
      await rm(temporary, { force: true });
    }
  });
}

/** Writes a file that nobody else may read, in a directory of the same kind. @throws UnusableFile */
export function writeOwn(file: string, text: string): Promise<void> {
  return explained(file, async () => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await rename(await written(file, text, OWNER_ONLY), file);
  });
}

/** A new file beside another one, with this text on the disk. Returns its name. */
async function written(file: string, text: string, mode: number): Promise<string> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString("hex")}`);
  const handle = await open(temporary, "wx", OWNER_ONLY);
  try {
    await handle.writeFile(text);
    await handle.chmod(mode & 0o777);
    await handle.sync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return temporary;
}

async function explained<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnusableFile && error.message.startsWith(file)) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === undefined ? message : (REASONS[code] ?? message);
    throw new UnusableFile(`${file}: ${reason}`);
  }
}

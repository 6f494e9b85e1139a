import { constants } from "node:fs";
import { access, chmod, mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/** The permissions of users other than the owner. */
const OTHERS = 0o077;
/** LevelDB's files. Any other file in the directory is not ours. */
const OWN_FILE = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/;

/**
 * Creates a directory that only its owner can read: it may hold any caller's arguments and results, and the ids that open tasks.
 * Tightens an existing directory if this user owns it; leaves one of another user, such as a container's volume, as it is.
 *
 * @returns a warning for the operator; `undefined` when there is none
 * @throws when it cannot create or stat the directory; NoAccess where this user may not
 */
export async function makePrivate(path: string): Promise<string | undefined> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch(async (error: unknown) =>
    refused(await reasonOf(error, path), path),
  );
  const { uid, mode } = await stat(path);
  // Windows has no such permissions.
  if (process.getuid === undefined || (mode & OTHERS) === 0) return undefined;
  const octal = (mode & 0o777).toString(8);
  if (uid === process.getuid()) {
    const isDone = await chmod(path, 0o700).then(
      () => true,
      () => false,
    );
    if (isDone) return `its directory was open to other users (mode ${octal}); its permissions are 700 now`;
  }
  return `its directory is open to other users (mode ${octal}) and its permissions cannot be changed; they may be able to read tasks`;
}

/** The directory cannot be used by this process as it is. The message is what to do about it. */
export class NoAccess extends Error {
  override name = "NoAccess";
}

/**
 * Whether this user may work in a directory and with LevelDB's files there. To be asked before anything is read: a file of another user's
 * would look like one that is missing.
 * @throws NoAccess
 */
export async function checkAccess(path: string): Promise<void> {
  const { R_OK, W_OK, X_OK } = constants;
  await checkFile(path, R_OK | W_OK | X_OK, path);
  for (const name of await readdir(path)) {
    if (OWN_FILE.test(name)) await checkFile(join(path, name), name === "LOCK" ? R_OK | W_OK : R_OK, path);
  }
}

async function checkFile(file: string, mode: number, path: string): Promise<void> {
  try {
    await access(file, mode);
  } catch (error) {
    // It may be gone again.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") await refused(error, file, path);
  }
}

/** Why a directory cannot be made. On a read-only file system Node's recursive `mkdir` says ENOENT (20.20, 24.22). */
async function reasonOf(error: unknown, path: string): Promise<unknown> {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") return error;
  for (let parent = dirname(resolve(path)); ; parent = dirname(parent)) {
    try {
      await access(parent, constants.W_OK | constants.X_OK);
      return error;
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== "ENOENT") return reason;
    }
  }
}

/** Throws the system's error, or what to do about it where that is known. */
async function refused(error: unknown, file: string, path = file): Promise<never> {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EROFS":
      throw new NoAccess(READ_ONLY, { cause: error });
    case "EACCES":
    case "EPERM":
      throw new NoAccess(await ownershipAdvice(file, path), { cause: error });
  }
  throw error;
}

const READ_ONLY = "on a read-only file system; tasks need a directory that can be written, such as a volume";

async function ownershipAdvice(file: string, path: string): Promise<string> {
  const user = process.getuid?.();
  const who = user === undefined ? "this user" : `user ${user}`;
  const found = await stat(file).catch(() => undefined);
  if (found === undefined)
    return `${who} may not create ${file}; create it and give it to ${who}, or choose another directory`;
  const mode = (found.mode & 0o777).toString(8);
  const cure =
    found.uid === user
      ? `allow it that (chmod -R u+rwX ${path})`
      : `give all of ${path} to ${who} (chown -R ${user} ${path}), or run as user ${found.uid}`;
  return `${who} may not read and write ${file}, which belongs to user ${found.uid} (mode ${mode}); ${cure}`;
}

/** Makes LevelDB's files private, those of earlier runs and new ones. Never rejects. */
export async function makeFilesPrivate(path: string): Promise<void> {
  if (process.getuid === undefined) return;
  const names = await readdir(path).catch(() => []);
  const own = names.filter((name) => OWN_FILE.test(name)).map((name) => join(path, name));
  // A file may be gone by now, or belong to another user.
  await Promise.allSettled(own.map((file) => chmod(file, 0o600)));
}

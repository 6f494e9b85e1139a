import { chmod, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** The permissions of users other than the owner. */
const OTHERS = 0o077;
/** LevelDB's files. Any other file in the directory is not ours. */
const OWN_FILE = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/;

/**
 * Creates a directory that only its owner can read: it may hold any caller's arguments and results, and the ids that open tasks.
 * Tightens an existing directory if this user owns it; leaves one of another user, such as a container's volume, as it is.
 *
 * @returns a warning for the operator; `undefined` when there is none
 * @throws when it cannot create or stat the directory
 */
export async function makePrivate(path: string): Promise<string | undefined> {
  await mkdir(path, { recursive: true, mode: 0o700 });
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

/** Makes LevelDB's files private, those of earlier runs and new ones. Never rejects. */
export async function makeFilesPrivate(path: string): Promise<void> {
  if (process.getuid === undefined) return;
  const names = await readdir(path).catch(() => []);
  const own = names.filter((name) => OWN_FILE.test(name)).map((name) => join(path, name));
  // A file may be gone by now, or belong to another user.
  await Promise.allSettled(own.map((file) => chmod(file, 0o600)));
}

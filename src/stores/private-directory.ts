import { chmod, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** What others than the owner may do. */
const OTHERS = 0o077;
/** The files of a LevelDB. What else is in the directory is somebody else's. */
const OWN_FILE = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/;

/**
 * Makes a directory one that only its owner can look into: it may hold anybody's arguments and results, and the ids that open tasks.
 * One that was there before, wider, is tightened if it is ours. That of another user, such as a container's volume, is left as it is.
 *
 * @returns what has to be told about it; undefined when there is nothing
 * @throws when it cannot be created or looked at
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

/** The same for the database's own files: those of an earlier run, and those that were just made. Never rejects. */
export async function makeFilesPrivate(path: string): Promise<void> {
  if (process.getuid === undefined) return;
  const names = await readdir(path).catch(() => []);
  const own = names.filter((name) => OWN_FILE.test(name)).map((name) => join(path, name));
  // One may be gone by now, or another user's.
  await Promise.allSettled(own.map((file) => chmod(file, 0o600)));
}

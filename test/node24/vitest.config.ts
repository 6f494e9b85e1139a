import { defineConfig } from "vitest/config";
import { OF_NODE } from "../plan.ts";
import usual from "../vitest.config.ts";

const { projects: _, ...settings } = usual.test ?? {};

/** The tests for another Node. */
export default defineConfig({ ...usual, test: { ...settings, include: OF_NODE } });

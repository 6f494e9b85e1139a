import { once } from "node:events";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../demo/programs.ts";
import { PAGE_HEADING, type Place } from "./row.ts";

const PAGE = `<!doctype html><title>${PAGE_HEADING}</title><h1>${PAGE_HEADING}</h1>`;
const LINT_CONFIG = 'export default [{ rules: { "no-undef": "error" } }];\n';

/** What the servers find here: a page on loopback, and for each row a folder with something of everything. */
export interface Grounds {
  place(row: number): Promise<Place>;
  close(): Promise<void>;
}

export async function openGrounds(): Promise<Grounds> {
  // Some servers compare the paths they are given with resolved ones.
  const root = await realpath(await mkdtemp(join(tmpdir(), "taskgate-corpus-")));
  const http = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  }).listen(0, "127.0.0.1");
  await once(http, "listening");
  const pageUrl = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
  return {
    place: async (row) => {
      const folder = join(root, String(row));
      await furnish(folder);
      return { port: await freePort(), folder, pageUrl };
    },
    close: async () => {
      http.close();
      http.closeAllConnections();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function furnish(folder: string): Promise<void> {
  await mkdir(join(folder, "repository"), { recursive: true });
  const files = {
    "page.html": PAGE,
    "page.pdf": "%PDF-1.4\n%%EOF\n",
    "script.js": "undefined_function();\n",
    "eslint.config.mjs": LINT_CONFIG,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
}

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Router } from "express";

/** Found from `dist` and from `src` alike. */
const FOLDER = join(import.meta.dirname, "../../../src/console");
/** Preact and htm in one file, as they are on npm: a file that the package has and does not export to `require`. */
const LIBRARY = join(createRequire(import.meta.url).resolve("htm"), "../../preact/standalone.module.js");

const SCRIPTS = ["api", "charts", "console", "refusals", "seen", "suggestions", "webhooks", "words"];
const SCRIPT = "text/javascript; charset=utf-8";

const FILES = [
  ["/", "text/html; charset=utf-8", join(FOLDER, "index.html")],
  ["/console.css", "text/css; charset=utf-8", join(FOLDER, "console.css")],
  ...SCRIPTS.map((name) => [`/${name}.js`, SCRIPT, join(FOLDER, `${name}.js`)] as const),
  ["/htm.js", SCRIPT, LIBRARY],
] as const;

/**
 * Nothing from anywhere else, no script or style in the page itself, and no text that becomes markup: a name of a tool or a caller stays text
 * whatever it looks like.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS = {
  "Content-Security-Policy": POLICY,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-cache",
};

/** The console: a page over the API, in a few files. */
export function consolePages(): Router {
  const router = Router();
  for (const [path, type, file] of FILES) {
    const text = readFileSync(file);
    router.get(path, (_, response) => {
      response.set(HEADERS).type(type).send(text);
    });
  }
  return router;
}

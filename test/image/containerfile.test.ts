import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CONTAINERFILE, faultsIn, IGNORED, ROOT, stagesOf } from "./containerfile.ts";

const TEXT = readFileSync(CONTAINERFILE, "utf8");

test("the Containerfile is in order", () => {
  expect(faultsIn(TEXT)).toEqual([]);
});

test("what its ignore file lets through is there, and all else stays out", () => {
  const lines = readFileSync(IGNORED, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines[0]).toBe("*");
  const names = lines.slice(1).map((line) => line.replace(/^!/, ""));
  expect(lines.slice(1)).toEqual(names.map((name) => `!${name}`));
  expect(names.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
});

test.each<[string, string | RegExp, string, RegExp]>([
  [
    "a file that is not there",
    "COPY tsconfig.json",
    "COPY tsconfig.jsonc",
    /tsconfig\.jsonc: there is no such file/,
  ],
  [
    "one that the ignore file leaves out",
    "COPY tsconfig.json",
    "COPY README.md",
    /README\.md: the ignore file/,
  ],
  [
    "one that nobody made",
    "/app/dist /app/dist",
    "/app/lib /app/dist",
    /\/app\/lib: the first stage has none/,
  ],
  ["a part that is forgotten", /COPY .*\/app\/src\/console\n/, "", /^src\/console is missing/],
  [
    "a stage that is none",
    "COPY --from=build /app/dist",
    "COPY --from=other /app/dist",
    /not from the first stage/,
  ],
  ["a shell in the second stage", "USER 65532", "RUN mkdir /x\nUSER 65532", /no shell to RUN/],
  ["a command for a shell", /CMD \["\/etc.*/, "CMD /etc/mcp-taskgate/taskgate.yaml", /CMD is not a list/],
  ["another program", '"/app/dist/cli.js"]\nCMD', '"/app/dist/main.js"]\nCMD', /ENTRYPOINT does not start/],
  ["a verb that is none", '"health"]', '"healthy"]', /HEALTHCHECK is no command/],
  ["no health check", /HEALTHCHECK .*\n/, "", /HEALTHCHECK/],
  ["a user by name", "USER 65532:65532", "USER nonroot", /USER nonroot: 65532:65532 was expected/],
  [
    "a signal that ends the gateway at once",
    "STOPSIGNAL SIGTERM",
    "STOPSIGNAL SIGKILL",
    /STOPSIGNAL SIGKILL/,
  ],
  ["an older version", /version="[^"]*"/, 'version="0.0.1"', /the label version is 0\.0\.1/],
  ["a page that is not there", "docs/containers.md", "docs/images.md", /documentation leads nowhere/],
  ["another Node", "node:24-trixie-slim", "node:22-trixie-slim", /is not of Node 24/],
  ["no tag", "node:24-trixie-slim", "node", /has no tag that stays/],
  ["one stage", /FROM gcr[\s\S]*/, "", /there are 1 stages and not two/],
])("%s in it is a fault", (_, good, bad, fault) => {
  const spoilt = TEXT.replace(good, bad);
  expect(spoilt).not.toBe(TEXT);
  expect(faultsIn(spoilt)).toEqual(expect.arrayContaining([expect.stringMatching(fault)]));
});

test("it is read as Docker reads it", () => {
  const text =
    'from --platform=linux/amd64 a:1 as b\n# no\nRUN x \\\n  # nor this\n  && y\nFROM c@sha256:1\nCMD ["d"]\n';
  expect(stagesOf(text)).toEqual([
    {
      base: "a:1",
      name: "b",
      instructions: [
        { word: "FROM", flags: { platform: "linux/amd64" }, args: "a:1 as b" },
        { word: "RUN", flags: {}, args: "x    && y" },
      ],
    },
    {
      base: "c@sha256:1",
      name: undefined,
      instructions: [
        { word: "FROM", flags: {}, args: "c@sha256:1" },
        { word: "CMD", flags: {}, args: '["d"]' },
      ],
    },
  ]);
});

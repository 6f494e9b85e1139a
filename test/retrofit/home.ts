/** A home directory of its own, with files of clients in it. */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Flags } from "../../src/config/flags.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { failureLines } from "../../src/config/report.ts";
import { runClients, runImport, runUnwrap, runWrap } from "../../src/retrofit/command.ts";
import { UnusableFile } from "../../src/retrofit/files.ts";
import type { Machine } from "../../src/retrofit/machine.ts";
import { machine } from "./fixtures.ts";

const COMMANDS = { wrap: runWrap, unwrap: runUnwrap, clients: runClients, import: runImport };

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Home {
  readonly path: string;
  write(file: string, text: string): void;
  read(file: string): string;
  /** The files below a directory. */
  list(directory: string): readonly string[];
  /** Runs a command as the command line does. */
  run(command: keyof typeof COMMANDS, flags: Flags, answer?: () => Promise<boolean>): Promise<Ran>;
}

export function home(files: Readonly<Record<string, string>> = {}, more: Partial<Machine> = {}): Home {
  const path = mkdtempSync(join(tmpdir(), "taskgate-home-"));
  onTestFinished(() => {
    for (const directory of directoriesIn(path)) chmodSync(directory, 0o700);
    rmSync(path, { recursive: true });
  });
  const at = (file: string) => join(path, file);
  const write = (file: string, text: string) => {
    mkdirSync(dirname(at(file)), { recursive: true });
    writeFileSync(at(file), text);
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  mkdirSync(at("work"), { recursive: true });
  const here = machine({ home: path, cwd: at("work"), ...more });
  return {
    path,
    write,
    read: (file) => readFileSync(at(file), "utf8"),
    list: (directory) =>
      existsSync(at(directory))
        ? readdirSync(at(directory), { recursive: true, encoding: "utf8" }).sort()
        : [],
    run: async (command, flags, answer) => {
      const [out, err]: [string[], string[]] = [[], []];
      const ask = answer === undefined ? {} : { ask: answer };
      const terminal = {
        print: (line: string) => out.push(line),
        say: (line: string) => err.push(line),
        ...ask,
      };
      const code = await COMMANDS[command](flags, here, terminal).catch((error: unknown) => {
        if (!(error instanceof ConfigError || error instanceof UnusableFile)) throw error;
        err.push(...failureLines(error));
        return 2;
      });
      const told = (lines: readonly string[]) => lines.join("\n").replaceAll(path, "~");
      return { code, out: told(out), err: told(err) };
    },
  };
}

function directoriesIn(path: string): readonly string[] {
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [path, ...below.flatMap(({ name }) => directoriesIn(join(path, name)))];
}

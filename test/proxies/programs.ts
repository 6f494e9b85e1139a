/** The reverse proxies that are run, as Debian packages them, and what each needs beside its file of `config/proxies` to run in a folder of its own. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** What it takes to run one in a folder. */
export interface Launch {
  /** Files that are written into the folder, beside the one of `config/proxies`. */
  readonly files?: Readonly<Record<string, string>>;
  /** Runs it until it gets a signal, in the foreground. */
  readonly run: readonly string[];
  /** Has it check its file, and nothing else. */
  readonly check: readonly string[];
}

export interface Program {
  readonly name: string;
  /** As the table has it. */
  readonly title: string;
  readonly executable: string;
  readonly package: string;
  /** Prints the version, which is the first number with dots. */
  readonly version: readonly string[];
  /** Its file in `config/proxies`. */
  readonly file: string;
  /** Where the file says on what it listens, and the same for a port of loopback. Absent: a flag says it. */
  readonly listens?: readonly [text: string, at: (port: number) => string];
  /** Whether its file keeps sessions at the gateway that began them. */
  readonly keepsSessions?: true;
  /** @param file the path of the file, filled in */
  readonly launch: (place: {
    readonly folder: string;
    readonly file: string;
    readonly port: number;
  }) => Launch;
}

const CONFIG = join(import.meta.dirname, "../../config/proxies");
/** Some proxies refuse to serve as root. */
const IS_ROOT = process.getuid?.() === 0;
const APACHE_MODULES = "/usr/lib/apache2/modules";
const LIGHTTPD_MODULES = "/usr/lib/lighttpd";

export const PROGRAMS: readonly Program[] = [
  {
    name: "nginx",
    title: "nginx",
    executable: "nginx",
    package: "nginx-light",
    version: ["-v"],
    file: "nginx.conf",
    listens: ["listen 80;", (port) => `listen 127.0.0.1:${port};`],
    launch: ({ folder, file }) => {
      const main = join(folder, "main.conf");
      const args = ["-p", folder, "-e", "stderr", "-c", main];
      return { files: { "main.conf": nginxMain(folder, file) }, run: args, check: ["-t", ...args] };
    },
  },
  {
    name: "haproxy",
    title: "HAProxy",
    executable: "haproxy",
    package: "haproxy",
    version: ["-v"],
    file: "haproxy.cfg",
    listens: ["bind :80", (port) => `bind 127.0.0.1:${port}`],
    keepsSessions: true,
    launch: ({ file }) => ({ run: ["-db", "-f", file], check: ["-c", "-f", file] }),
  },
  {
    name: "caddy",
    title: "Caddy",
    executable: "caddy",
    package: "caddy",
    version: ["version"],
    file: "Caddyfile",
    listens: [":80 {", (port) => `http://:${port} {\n\tbind 127.0.0.1`],
    launch: ({ folder, file }) => {
      const main = join(folder, "main.caddy");
      const args = ["--config", main, "--adapter", "caddyfile"];
      return {
        // Two of them would have one port for their administration.
        files: { "main.caddy": `{\n\tadmin off\n}\nimport ${file}\n` },
        run: ["run", ...args],
        check: ["validate", ...args],
      };
    },
  },
  {
    name: "apache",
    title: "Apache",
    executable: "apache2",
    package: "apache2",
    version: ["-v"],
    file: "apache.conf",
    listens: ["<VirtualHost *:80>", (port) => `<VirtualHost 127.0.0.1:${port}>`],
    launch: ({ folder, file, port }) => {
      const args = ["-d", folder, "-f", join(folder, "main.conf")];
      return {
        files: { "main.conf": apacheMain(folder, file, port) },
        run: [...args, "-DFOREGROUND"],
        check: ["-t", ...args],
      };
    },
  },
  {
    name: "varnish",
    title: "Varnish",
    executable: "varnishd",
    package: "varnish",
    version: ["-V"],
    file: "varnish.vcl",
    launch: ({ folder, file, port }) => ({
      run: [
        "-F",
        "-f",
        file,
        "-a",
        `127.0.0.1:${port}`,
        "-n",
        join(folder, "work"),
        "-j",
        "none",
        "-s",
        "default,16m",
      ],
      check: ["-C", "-f", file, "-n", join(folder, "check"), "-j", "none"],
    }),
  },
  {
    name: "lighttpd",
    title: "lighttpd",
    executable: "lighttpd",
    package: "lighttpd",
    version: ["-v"],
    file: "lighttpd.conf",
    listens: ["server.port = 80", (port) => `server.port = ${port}`],
    launch: ({ folder, file }) => {
      const main = join(folder, "main.conf");
      const text = [
        'server.bind = "127.0.0.1"',
        `server.document-root = "${folder}"`,
        `server.upload-dirs = ( "${folder}" )`,
        `include "${file}"`,
      ];
      const args = ["-m", LIGHTTPD_MODULES, "-f", main];
      return {
        files: { "main.conf": `${text.join("\n")}\n` },
        run: ["-D", ...args],
        check: ["-tt", ...args],
      };
    },
  },
  {
    name: "squid",
    title: "Squid",
    executable: "squid",
    package: "squid",
    version: ["-v"],
    file: "squid.conf",
    listens: ["http_port 80 ", (port) => `http_port 127.0.0.1:${port} `],
    launch: ({ folder, file }) => {
      const main = join(folder, "main.conf");
      const text = [
        `pid_filename ${folder}/pid`,
        "cache_log stdio:/dev/stderr",
        "access_log none",
        `coredump_dir ${folder}`,
        "visible_hostname proxy.test",
        "pinger_enable off",
        "netdb_filename none",
        ...(IS_ROOT ? ["cache_effective_user proxy"] : []),
        `include ${file}`,
      ];
      return {
        files: { "main.conf": `${text.join("\n")}\n` },
        run: ["-N", "-f", main],
        check: ["-k", "parse", "-f", main],
      };
    },
  },
];

/**
 * The file of a program, for these gateways and this port of loopback in place of those that it names.
 * @throws when it names no gateway, or another port
 */
export async function filled(
  { file, listens }: Program,
  gateways: readonly number[],
  port: number,
): Promise<string> {
  const lines = (await readFile(join(CONFIG, file), "utf8"))
    .split("\n")
    // A comment says so for whoever has one gateway.
    .filter((line) => gateways.length > 1 || isComment(line) || !/gateway[-_]2/.test(line))
    .map((line) => (isComment(line) ? line : withPort(line, gateways)));
  const text = lines.join("\n");
  if (!text.includes("127.0.0.1")) throw new Error(`config/proxies/${file} names no gateway-1`);
  if (listens === undefined) return text;
  const [listen, at] = listens;
  if (text.split(listen).length !== 2) throw new Error(`config/proxies/${file}: expected one "${listen}"`);
  return text.replace(listen, at(port));
}

/** `gateway_1` may be a name within the file; the host is `gateway-1`, and has its port on the same line. */
function withPort(line: string, gateways: readonly number[]): string {
  const [, nth] = /gateway-(\d)/.exec(line) ?? [];
  if (nth === undefined) return line;
  return line.replace(`gateway-${nth}`, "127.0.0.1").replace("8080", String(gateways[Number(nth) - 1]));
}

function isComment(line: string): boolean {
  return /^\s*#/.test(line);
}

function nginxMain(folder: string, file: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
${IS_ROOT ? "user root;" : ""}
worker_processes 1;
pid ${folder}/pid;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")}
  include ${file};
}
`;
}

function apacheMain(folder: string, file: string, port: number): string {
  const modules = [
    "mpm_event",
    "authz_core",
    "headers",
    "proxy",
    "proxy_http",
    "slotmem_shm",
    "proxy_balancer",
    "lbmethod_byrequests",
    "proxy_hcheck",
  ];
  return `${modules.map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`).join("\n")}
ServerName proxy.test
Listen 127.0.0.1:${port}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
DefaultRuntimeDir ${folder}
DocumentRoot ${folder}
${IS_ROOT ? "User www-data\nGroup www-data" : ""}
Include ${file}
`;
}

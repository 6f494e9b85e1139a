import { setTimeout as sleep } from "node:timers/promises";
import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Memory } from "./probe.ts";
import { atMost, kilobytes, type Line } from "./report.ts";
import { legacyStream, openLegacySession } from "./requests.ts";

/** Opened and dropped before anything is measured: until then it is buffers and compiled code that grow. */
const WARM_UP_STREAMS = 300;
const MAX_BYTES = 30_000;
const LOOK_EVERY_MS = 500;
const MAX_LOOKS = 20;

/** What a stream that a legacy client listens on costs whatever stands between it and the server. */
export async function measureHeldStreams(lab: Lab, { heldStreams }: Effort): Promise<Line[]> {
  const server = await lab.server("legacy");
  const nginx = await lab.nginx(server.url);
  const contestants = [
    { name: "gateway", target: await lab.gateway({ upstream: server.url, store: "memory" }) },
    { name: "http-proxy", target: await lab.probed("http-proxy", server.url) },
    ...(nginx === undefined ? [] : [{ name: "nginx", target: nginx }]),
  ];
  const lines: Line[] = [];
  for (const { name, target } of contestants) {
    const { resident, inUse } = await eachOf(target, heldStreams);
    const aim = atMost(kilobytes(MAX_BYTES), MAX_BYTES, resident);
    lines.push({
      what: `${name}: resident`,
      value: kilobytes(resident),
      ...(name === "gateway" ? { aim } : {}),
    });
    if (inUse !== undefined) lines.push({ what: `${name}: heap and buffers`, value: kilobytes(inUse) });
    await target.program.stop();
  }
  await server.program.stop();
  return lines;
}

async function eachOf(target: Target, streams: number): Promise<Memory> {
  const request = legacyStream(await openLegacySession(target.url));
  const drop = await target.hold(request, WARM_UP_STREAMS);
  await drop();
  const before = await settled(target);
  const dropAll = await target.hold(request, streams);
  const after = await settled(target);
  await dropAll();
  const inUse = ((after.inUse ?? Number.NaN) - (before.inUse ?? Number.NaN)) / streams;
  return {
    resident: (after.resident - before.resident) / streams,
    ...(after.inUse === undefined ? {} : { inUse }),
  };
}

/** What is in use once it falls no more: what is emptied by one collection is given back by one of the next. */
async function settled({ probe }: Target): Promise<Memory> {
  let memory = await probe.memory();
  for (let quiet = 0, look = 0; quiet < 3 && look < MAX_LOOKS; look += 1) {
    await sleep(LOOK_EVERY_MS);
    const next = await probe.memory();
    quiet = next.resident < 0.99 * memory.resident ? 0 : quiet + 1;
    memory = next;
  }
  return memory;
}

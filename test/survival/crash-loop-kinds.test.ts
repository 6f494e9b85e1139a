/** The loop of `crash-loop.test.ts` over everything else that a gateway may stand between, or be set to. */

import { randomBytes } from "node:crypto";
import { test } from "vitest";
import { withoutRedis } from "../support/redis-tests.ts";
import { crashAgainAndAgain, type Loop, patienceMs } from "./support/crash-loop.ts";
import { mixedWork } from "./support/load.ts";
import { IS_FULL } from "./support/stage.ts";

const PAIR = { store: "redis", replicas: 2 } as const;
const ROUNDS = IS_FULL ? 20 : 2;

/** `isLong`: in the long runs only. */
const LOOPS: readonly (Loop & { readonly isLong?: true })[] = [
  { what: "clients of 2025-11-25", ...PAIR, kind: "kept", speaks: "2025-11-25" },
  { what: "clients of 2025-11-25", store: "level", kind: "unkept", speaks: "2025-11-25", isLong: true },
  { what: "a server of 2026-07-28", ...PAIR, kind: "modern" },
  { what: "a server of 2026-07-28", store: "level", kind: "modern", isLong: true },
  { what: "gateways on stdin and stdout", store: "level", kind: "kept", front: "kept" },
  { what: "gateways on stdin and stdout", ...PAIR, kind: "unkept", front: "unkept", isLong: true },
  { what: "encrypted", store: "level", kind: "kept", encryptionKeys: [randomBytes(32).toString("hex")] },
  {
    what: "encrypted",
    ...PAIR,
    kind: "kept",
    encryptionKeys: [randomBytes(32).toString("hex")],
    isLong: true,
  },
  { what: "a cluster of Redis", store: "cluster", replicas: 2, kind: "kept" },
  {
    what: "repeated",
    ...PAIR,
    kind: "unkept",
    tasks: { onLoss: "retry" },
    repeated: "read",
    work: mostlyRead,
  },
  {
    what: "repeated",
    store: "level",
    kind: "kept",
    tasks: { onLoss: "retry" },
    repeated: "read",
    work: mostlyRead,
    isLong: true,
  },
];

test.skipIf(withoutRedis("crash loops of all kinds")).for(LOOPS.filter(({ isLong }) => IS_FULL || !isLong))(
  "no task is lost, no ending changes and no call is repeated that may not be: $what ($store, events $kind)",
  { timeout: patienceMs(ROUNDS) },
  (loop) => crashAgainAndAgain({ rounds: ROUNDS, ...loop }),
);

function mostlyRead(random: Parameters<typeof mixedWork>[0]) {
  const work = mixedWork(random);
  return random.between(1, 3) === 1 ? work : { ...work, tool: "read" as const };
}

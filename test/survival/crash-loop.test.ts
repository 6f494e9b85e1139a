import { test } from "vitest";
import { withoutRedis } from "../support/redis-tests.ts";
import { crashAgainAndAgain, patienceMs } from "./support/crash-loop.ts";
import { IS_FULL } from "./support/stage.ts";
import type { Kind } from "./support/witness.ts";

const KINDS: readonly Kind[] = ["kept", "unkept"];
const timeout = patienceMs();

test.for(IS_FULL ? KINDS : ["unkept" as const])(
  "a gateway on a directory that is killed again and again loses no task, changes no ending and repeats no call (events %s)",
  { timeout },
  (kind) => crashAgainAndAgain({ what: "alone", kind, store: "level" }),
);

test.skipIf(withoutRedis("the crash loop over Redis")).for(IS_FULL ? KINDS : ["kept" as const])(
  "of two gateways on a Redis one is killed again and again: no task is lost, no ending changes and no call is repeated (events %s)",
  { timeout },
  (kind) => crashAgainAndAgain({ what: "one of two", kind, store: "redis", replicas: 2 }),
);

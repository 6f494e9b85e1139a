import { trace } from "@opentelemetry/api";
import type { Logger } from "pino";
import { VERSION } from "../../version.ts";
import { Traces } from "./traces.ts";

/** The instrumentation scope of the gateway's spans. */
const SCOPE = "mcp-taskgate";

/**
 * Begins to trace. `propagate`: with the tracer of the program around the gateway, which keeps no spans unless that program has an SDK; `otlp`:
 * with an SDK of the gateway's own, set up by the variables of OpenTelemetry.
 * @throws naming a variable that cannot be followed
 */
export async function openTraces(tracing: "propagate" | "otlp", log: Logger): Promise<Traces> {
  const isDisabled = process.env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true";
  if (tracing === "propagate" || isDisabled) return new Traces({ tracer: trace.getTracer(SCOPE, VERSION) });
  // Only who exports waits until it is loaded.
  const { openSdk } = await import("./sdk.ts");
  const { provider, close } = openSdk(log);
  return new Traces({ tracer: provider.getTracer(SCOPE, VERSION), close });
}

import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Logger } from "pino";
import { within } from "../../lib/within.ts";
import { VERSION } from "../../version.ts";

/** How long the last spans may take to reach the collector when the gateway stops. */
const FLUSH_MS = 2_000;

const PROTOCOLS = { "http/protobuf": ProtobufExporter, "http/json": JsonExporter } as const;
const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
];

/**
 * An SDK that sends spans by OTLP over HTTP, in batches from a queue of limited length: a collector that is away loses spans, and nobody waits
 * for it. Reads its settings from the environment (OpenTelemetry, Environment Variable Specification).
 * @throws naming a variable that cannot be followed: whoever asks for traces wants to know why there are none
 */
export function openSdk(log: Logger): {
  readonly provider: BasicTracerProvider;
  readonly close: () => Promise<void>;
} {
  checkSampler();
  checkEndpoint();
  const Exporter =
    PROTOCOLS[oneOf(otlpSetting("PROTOCOL"), ["http/protobuf", "http/json"]) ?? "http/protobuf"];
  const tls = { ca: fileOf("CERTIFICATE"), cert: fileOf("CLIENT_CERTIFICATE"), key: fileOf("CLIENT_KEY") };
  const agents: Agent[] = [];
  const httpAgentOptions = (scheme: string) => {
    const agent =
      scheme === "http:" ? new Agent({ keepAlive: true }) : new SecureAgent({ keepAlive: true, ...tls });
    agents.push(agent);
    return agent;
  };
  const exporter = new Exporter({ httpAgentOptions });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ "service.name": "mcp-taskgate", "service.version": VERSION }))
      .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] })),
    spanProcessors: [new BatchSpanProcessor(watched(exporter, log))],
  });
  return {
    provider,
    close: async () => {
      // The exporter has said what kept it.
      await within(FLUSH_MS, provider.shutdown()).catch(() => {});
      for (const agent of agents) agent.destroy();
    },
  };
}

/** The exporter, with a line in the log when the collector is away, and when it is back. */
function watched(exporter: SpanExporter, log: Logger): SpanExporter {
  let isAway = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const { error: err } = result;
        if (err !== undefined && !isAway)
          log.warn({ err }, "spans do not reach the collector and are lost until they do");
        if (err === undefined && isAway) log.info("spans reach the collector again");
        isAway = err !== undefined;
        done(result);
      }),
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

/** As the specification says, one without a value is as good as none. */
function variable(name: string): Variable | undefined {
  const value = process.env[name]?.trim() ?? "";
  return value === "" ? undefined : { name, value };
}

/** A setting of the exporter: for traces, else for all signals. */
function otlpSetting(name: string): Variable | undefined {
  return variable(`OTEL_EXPORTER_OTLP_TRACES_${name}`) ?? variable(`OTEL_EXPORTER_OTLP_${name}`);
}

function oneOf<Word extends string>(given: Variable | undefined, words: readonly Word[]): Word | undefined {
  const word = words.find((each) => each === given?.value);
  if (given === undefined || word !== undefined) return word;
  throw new Error(`${given.name}: must be one of ${words.join(", ")}, got ${JSON.stringify(given.value)}`);
}

function checkSampler(): void {
  const sampler = oneOf(variable("OTEL_TRACES_SAMPLER"), SAMPLERS);
  if (!sampler?.endsWith("traceidratio")) return;
  const { name, value } = variable("OTEL_TRACES_SAMPLER_ARG") ?? {
    name: "OTEL_TRACES_SAMPLER_ARG",
    value: "1",
  };
  const ratio = Number(value);
  if (!(ratio >= 0 && ratio <= 1))
    throw new Error(`${name}: must be a number from 0 to 1, got ${JSON.stringify(value)}`);
}

function checkEndpoint(): void {
  const given = otlpSetting("ENDPOINT");
  if (given === undefined) return;
  const protocol = URL.canParse(given.value) ? new URL(given.value).protocol : "";
  // Not its value: it may contain a password.
  if (protocol !== "http:" && protocol !== "https:")
    throw new Error(`${given.name}: must be an http or https URL`);
}

function fileOf(name: string): Buffer | undefined {
  const given = otlpSetting(name);
  if (given === undefined) return undefined;
  try {
    return readFileSync(given.value);
  } catch (cause) {
    throw new Error(`${given.name}: cannot read the file ${JSON.stringify(given.value)}`, { cause });
  }
}

import type { Family, Sample } from "./families.ts";

/** A scrape, and in which format it is. */
export interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Writes families as text: as OpenMetrics 1.0 where the scraper asks for it, otherwise in the older text format of Prometheus. They differ
 * in how a counter's family is called, and in the last line.
 * @param accept the header of the request
 */
export function scrapeOf(families: readonly Family[], accept = ""): Scrape {
  const isOpen = accept.includes("application/openmetrics-text");
  const lines = families.flatMap((family) => linesOf(family, isOpen));
  if (isOpen) lines.push("# EOF");
  return { contentType: isOpen ? OPEN_METRICS : PLAIN, text: `${lines.join("\n")}\n` };
}

function linesOf(family: Family, isOpen: boolean): readonly string[] {
  const { name, help, type } = family;
  const title = isOpen && type === "counter" ? name.replace(/_total$/, "") : name;
  const head = [`# HELP ${title} ${escaped(help)}`, `# TYPE ${title} ${type}`];
  return [...head, ...family.samples().map((sample) => lineOf(name, sample))];
}

function lineOf(family: string, { metricName = family, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text, '"')}"`);
  return `${metricName}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

function escaped(text: string, quote = ""): string {
  const safe = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return quote === "" ? safe : safe.replaceAll(quote, `\\${quote}`);
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

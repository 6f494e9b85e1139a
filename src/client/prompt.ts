import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { oneLine } from "../log/one-line.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Question } from "./task-session.ts";

/** How often a person may try to answer one question. */
const MAX_TRIES = 3;

/**
 * Asks a server's questions of the person at the terminal, one line each (2026-07-28, Elicitation). A line may also come through a pipe. Where
 * no line comes any more, the question is cancelled.
 */
export class Prompt {
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #lines: string[] = [];
  #reader: Interface | undefined;
  #isOver = false;

  constructor(input: Readable, output: Writable) {
    this.#input = input;
    this.#output = output;
  }

  async ask({ method, params }: Question, signal: AbortSignal): Promise<JsonObject> {
    if (method !== "elicitation/create") return { action: "decline" };
    this.#say(`The server asks: ${oneLine(String(params.message ?? ""))}`);
    if (params.mode === "url") {
      this.#say(`  ${oneLine(String(params.url))}`);
      const line = await this.#line("  Enter when it is done, n to decline: ", signal);
      return { action: line === undefined ? "cancel" : line === "" ? "accept" : "decline" };
    }
    const { requestedSchema } = params;
    const { properties, required } = isObject(requestedSchema) ? requestedSchema : {};
    const content: [string, unknown][] = [];
    for (const [name, schema] of Object.entries(isObject(properties) ? properties : {})) {
      const field = isObject(schema) ? schema : {};
      const isRequired = Array.isArray(required) && required.includes(name);
      const given = await this.#field(name, field, isRequired, signal);
      if (given === undefined) return { action: "cancel" };
      if (given.value !== undefined) content.push([name, given.value]);
    }
    return { action: "accept", content: Object.fromEntries(content) };
  }

  /** Lets the program end. */
  close(): void {
    this.#reader?.close();
    this.#input.pause();
  }

  /** `undefined`: nobody answers; without a `value` when the field is left out. */
  async #field(name: string, field: JsonObject, isRequired: boolean, signal: AbortSignal) {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const line = await this.#line(`  ${labelOf(name, field, isRequired)}: `, signal);
      if (line === undefined) return undefined;
      if (line === "" && field.default !== undefined) return { value: field.default };
      if (line === "" && !isRequired) return { value: undefined };
      const value = readValue(line, field);
      if (value !== undefined) return { value };
      this.#say(`  ${wantedOf(field)}`);
    }
    return undefined;
  }

  #say(line: string): void {
    this.#output.write(`${line}\n`);
  }

  /** The next line. `undefined`: there is none any more. @throws the signal's reason */
  async #line(prompt: string, signal: AbortSignal): Promise<string | undefined> {
    this.#reader ??= this.#listen();
    this.#output.write(prompt);
    while (this.#lines.length === 0 && !this.#isOver) await this.#news(this.#reader, signal);
    return this.#lines.shift()?.trim();
  }

  /** Settles when there is another line, or there will be none. @throws the signal's reason */
  async #news(reader: Interface, signal: AbortSignal): Promise<void> {
    // Ends the other wait as well, so that no listener stays behind for each line.
    const over = new AbortController();
    const until = { signal: AbortSignal.any([signal, over.signal]) };
    try {
      await Promise.race([once(reader, "line", until), once(reader, "close", until)]);
    } catch {
      signal.throwIfAborted();
    } finally {
      over.abort();
    }
  }

  #listen(): Interface {
    const reader = createInterface({ input: this.#input });
    reader.on("line", (line) => this.#lines.push(line));
    reader.on("close", () => {
      this.#isOver = true;
    });
    return reader;
  }
}

function labelOf(name: string, field: JsonObject, isRequired: boolean): string {
  const { title, description, default: preset } = field;
  const about = typeof description === "string" ? ` (${description})` : "";
  const choices = choicesOf(field);
  const among = choices === undefined ? "" : ` [${choices.join(", ")}]`;
  const shown = preset === undefined ? "" : `, Enter for ${JSON.stringify(preset)}`;
  const optional = isRequired || preset !== undefined ? "" : ", Enter for none";
  return oneLine(`${typeof title === "string" ? title : name}${about}${among}${shown}${optional}`);
}

function wantedOf(field: JsonObject): string {
  const choices = choicesOf(field);
  const isList = field.type === "array";
  if (choices !== undefined)
    return oneLine(
      `must be ${isList ? "some" : "one"} of ${choices.join(", ")}${isList ? ", with commas" : ""}`,
    );
  if (isList || field.type === undefined || field.type === "string") return "is needed";
  return field.type === "boolean" ? "must be yes or no" : oneLine(`must be of the type ${field.type}`);
}

/** The value that a line stands for; `undefined`: it is none of the field's type. An empty line is a text, and a list of nothing. */
function readValue(line: string, field: JsonObject): unknown {
  const choices = choicesOf(field);
  const isChoice = (text: string) => choices === undefined || choices.includes(text);
  if (line === "" && (field.type === "number" || field.type === "integer")) return undefined;
  switch (field.type) {
    case "boolean":
      return /^(?:y|yes|true)$/i.test(line) ? true : /^(?:n|no|false)$/i.test(line) ? false : undefined;
    case "number":
      return Number.isFinite(Number(line)) ? Number(line) : undefined;
    case "integer":
      return Number.isSafeInteger(Number(line)) ? Number(line) : undefined;
    case "array": {
      const parts = line === "" ? [] : line.split(",").map((part) => part.trim());
      return parts.every(isChoice) && parts.length >= Number(field.minItems ?? 0) ? parts : undefined;
    }
    default:
      return isChoice(line) && line.length >= Number(field.minLength ?? 0) ? line : undefined;
  }
}

/** What there is to choose from, one of them or, in a list, several. */
function choicesOf({ type, items, ...field }: JsonObject): readonly string[] | undefined {
  const { enum: values, oneOf, anyOf } = type === "array" && isObject(items) ? items : field;
  if (Array.isArray(values)) return values.map(String);
  const titled = oneOf ?? anyOf;
  if (!Array.isArray(titled)) return undefined;
  return titled.map((each) => String(isObject(each) ? each.const : each));
}

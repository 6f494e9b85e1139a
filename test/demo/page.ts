/** Writes for people: 80 columns without a broken word, one line that changes on a terminal, plain text elsewhere. */

const COLUMNS = 80;
const isTerminal = process.stdout.isTTY === true;
const hasColour = isTerminal && process.env.NO_COLOR === undefined;
let isLive = false;

/** A line, or as many as it takes; all but the first begin with `indent` blanks. */
export function say(text: string, indent = 0): void {
  clearLine();
  for (const line of wrapped(text, indent)) console.log(line);
}

export function heading(text: string): void {
  say("");
  clearLine();
  for (const line of wrapped(text, 0)) console.log(hasColour ? `\x1b[1m${line}\x1b[0m` : line);
}

/** A line that the next one replaces, on a terminal. */
export function live(text: string): void {
  if (!isTerminal) return say(text);
  process.stdout.write(`\r\x1b[2K${text.slice(0, COLUMNS - 1)}`);
  isLive = true;
}

function clearLine(): void {
  if (isLive) process.stdout.write("\r\x1b[2K");
  isLive = false;
}

function wrapped(text: string, indent: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  // Blanks at the beginning and between columns stay.
  for (const word of text.split(/(?<=\S)(?= )/)) {
    if (line !== "" && line.length + word.length > COLUMNS) {
      lines.push(line);
      line = " ".repeat(indent) + word.trimStart();
    } else line += word;
  }
  return [...lines, line];
}

/** A line that stays one, and does nothing to a terminal, whatever a server has put into it. */
export function oneLine(line: string): string {
  return line.replace(/\p{Cc}+/gu, " ");
}

/** `; did you mean …?`, if one of the names is near what was given. */
export function guess(given: string, names: readonly string[]): string {
  const name = nearest(given, names);
  return name === undefined ? "" : `; did you mean ${name}?`;
}

/** The name that was probably meant: it begins with what was given, or is not far from it. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  if (given === "") return undefined;
  const [best] = names
    .map((name) => ({
      name,
      far: name.startsWith(given) ? 0 : distance(given.toLowerCase(), name.toLowerCase()),
    }))
    .filter(({ name, far }) => far <= Math.max(2, name.length / 3) && far < given.length)
    .sort((one, other) => one.far - other.far);
  return best?.name;
}

/** No name is longer, and a longer text takes too long to compare. */
const MAX_NAME_CHARS = 64;

/** How many letters have to be added, left out or changed to make one text of the other. */
function distance(one: string, other: string): number {
  if (one.length > MAX_NAME_CHARS || other.length > MAX_NAME_CHARS) return Number.POSITIVE_INFINITY;
  let row = [...other, ""].map((_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    let [left, diagonal] = [index + 1, index];
    row = row.map((above, column) => {
      const here =
        column === 0
          ? index + 1
          : Math.min(above + 1, left + 1, diagonal + (other[column - 1] === letter ? 0 : 1));
      [left, diagonal] = [here, above];
      return here;
    });
  }
  return row.at(-1) ?? 0;
}

/** Whose the things are that are counted. */
export interface Party {
  readonly route: string;
  readonly caller: string;
  /** Whether the caller is told apart from others: only then has it a share of its own. */
  readonly isIdentified: boolean;
}

/** From the narrowest to the widest: who exceeds the limit of one is told of that one. */
export const SCOPES = ["perCaller", "perRoute", "total"] as const;
export type Scope = (typeof SCOPES)[number];

/** By what a party is known within a scope; `undefined`: it has no share there. */
export function keyWithin(scope: Scope, { route, caller, isIdentified }: Party): string | undefined {
  switch (scope) {
    case "perCaller":
      return isIdentified ? caller : undefined;
    case "perRoute":
      return route;
    case "total":
      return "";
  }
}

/** What the suite asks for and does not get, each with its reason. One that passes after all fails its test, so that this list stays true. */

export interface Exemption {
  readonly scenario: string;
  /** The id of a check; every check of the scenario unless given. */
  readonly check?: string;
  readonly reason: string;
}

export const EXEMPTIONS: readonly Exemption[] = [];

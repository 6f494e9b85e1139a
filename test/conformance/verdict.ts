import type { Exemption } from "./exemptions.ts";

/** A check as the suite writes it to `checks.json`. */
export interface Check {
  readonly id: string;
  readonly description: string;
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO";
  readonly errorMessage?: string;
  readonly details?: { readonly [name: string]: unknown };
}

/**
 * What is wrong with a scenario's checks, in words; empty when it passes. It passes when every check succeeded, was
 * informative, was skipped with a reason or is exempted; when something of its own was checked at all; and when nothing
 * is exempted that did not fail.
 */
export function complaints(checks: readonly Check[], exemptions: readonly Exemption[]): string[] {
  const bad = checks.filter((check) => !isAcceptable(check));
  const isExempt = (check: Check): boolean => exemptions.some((exemption) => isMeant(exemption, check));
  return [
    ...bad.filter((check) => !isExempt(check)).map(inWords),
    ...(checks.some(wasExecuted) ? [] : ["nothing was checked"]),
    ...exemptions
      .filter((exemption) => !bad.some((check) => isMeant(exemption, check)))
      .map(({ check, reason }) => `exempted, but does not fail: ${check ?? "the scenario"} (${reason})`),
  ];
}

function isAcceptable(check: Check): boolean {
  switch (check.status) {
    case "SUCCESS":
    case "INFO":
      return true;
    case "SKIPPED":
      return (check.errorMessage ?? check.details?.note) !== undefined;
    case "WARNING":
    case "FAILURE":
      return false;
  }
}

const isMeant = (exemption: Exemption, check: Check): boolean =>
  exemption.check === undefined || exemption.check === check.id;

/** The suite adds this one to every scenario; alone it says nothing about the scenario's own subject. */
const ADDED_TO_ALL = "wire-schema-valid";

const wasExecuted = ({ id, status }: Check): boolean =>
  id !== ADDED_TO_ALL && status !== "SKIPPED" && status !== "INFO";

const inWords = ({ id, status, description, errorMessage }: Check): string =>
  `${status} ${id}: ${description}\n    ${errorMessage ?? "no message"}`;

import { ModernClient, TASKS } from "../../support/modern-client.ts";

/** A client that declares tasks, and that its user can be asked. */
export function clientOf(url: URL): ModernClient {
  return new ModernClient(url, { capabilities: { ...TASKS, elicitation: { form: {} } } });
}

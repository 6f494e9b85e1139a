/** The commands of the command line, in the order in which its help shows them. */
export const VERBS = [
  ...["serve", "stdio", "inspect", "call", "check", "store", "wrap", "unwrap", "clients", "import", "tasks"],
  ...["servers", "health", "suggest", "webhooks", "reload", "schema", "completion"],
];

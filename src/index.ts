export type { Reload } from "./admin/reloads.ts";
export {
  CallFailed,
  type CallProgress,
  type Question,
  type TaskCallOptions,
  type TaskSession,
  type TaskSessionOptions,
  type ToolResult,
  taskSession,
} from "./client/task-session.ts";
export type { Config } from "./config/config.ts";
export { ConfigFile } from "./config/config-file.ts";
export { type Loaded, loadConfig } from "./config/load.ts";
export { ConfigError } from "./config/problems.ts";
export {
  type Gateway,
  type GatewayOptions,
  type Middleware,
  type RouteLine,
  type StdioGateway,
  type StdioOptions,
  serveStdio,
  startGateway,
  taskgate,
} from "./gateway.ts";
export type { Identify } from "./http/callers/identify.ts";
export type { Caller } from "./requests/request.ts";

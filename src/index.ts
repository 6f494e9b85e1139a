export type { Config } from "./config/config.ts";
export {
  type Gateway,
  type GatewayOptions,
  type Middleware,
  type RouteLine,
  startGateway,
  taskgate,
} from "./gateway.ts";

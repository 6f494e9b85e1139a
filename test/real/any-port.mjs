// Loaded into a server before its own code (`node --import`): whatever port the server asks for, it gets a free one on the
// loopback interface, and its parent is told which. Some of these servers know one port only, and none says which it got.
import { Server } from "node:net";

const { listen } = Server.prototype;

Server.prototype.listen = function (...args) {
  const ready = args.findLast((arg) => typeof arg === "function");
  this.once("listening", () => process.send?.({ port: this.address().port }));
  return listen.call(this, { port: 0, host: "127.0.0.1" }, ready);
};

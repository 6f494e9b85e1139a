// Holds a connection to the port of its first argument for as long as it lives, and does not end when it is asked to.
import { connect } from "node:net";

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
process.stdin.resume();
setInterval(() => {}, 60_000);
// The last thing it does, so that whoever sees the connection knows that signals do nothing any more.
connect(Number(process.argv[2]), "127.0.0.1").on("error", () => {});

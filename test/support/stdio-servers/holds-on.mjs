// Holds a connection to the port of its first argument, and does not end when it is asked to. It ends with the connection,
// so that nothing is left of a test that fails.
import { connect } from "node:net";

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
process.stdin.resume();
// The last thing it does, so that whoever sees the connection knows that signals do nothing any more.
const connection = connect(Number(process.argv[2]), "127.0.0.1");
connection.on("error", () => {}).on("close", () => process.exit());

import type { Server } from "node:http";
import type { Logger } from "pino";
import { throttled } from "../log/throttled.ts";

/** A client or a probe that is set up so tries again and again. */
const EVERY_MS = 60_000;
/** The first two bytes of a TLS connection: a handshake, of any version (RFC 8446 §5.1). */
const HANDSHAKE = [0x16, 0x03] as const;

/** Tells the operator of clients that speak TLS to a port without, and the other way round. Their connections end as they would. */
export function tellMisspoken(
  server: Server,
  { isSecure, log }: { readonly isSecure: boolean; readonly log: Logger },
) {
  const tell = (address: string | undefined, message: string) =>
    throttled(log).say("warn", { address }, message, EVERY_MS);
  if (isSecure) {
    server.on("tlsClientError", (error: NodeJS.ErrnoException, { remoteAddress: address }) => {
      if (error.code === "ERR_SSL_HTTP_REQUEST") tell(address, PLAIN);
      else log.debug({ address, code: error.code }, "a client gave up its TLS handshake, or was refused");
    });
    return;
  }
  // node:http has answered and reported a fault of the request by then; to listen for its report would be to answer in its place.
  server.on("connection", (socket) => {
    socket.on("error", ({ rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }) => {
      if (HANDSHAKE.every((byte, at) => rawPacket?.[at] === byte)) tell(socket.remoteAddress, SECURE);
    });
  });
}

const PLAIN =
  "a client spoke HTTP without TLS to a port with TLS: its address must begin with https, or listen.tls must go";
const SECURE =
  "a client spoke TLS to a port without TLS: its address must begin with http, or the listener needs a certificate (listen.tls)";

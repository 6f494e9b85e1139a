import type { EventStore } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";

/** Keeps the events of one session in the order in which they were sent; an event's id is its place in that order. */
export function keptEvents(): EventStore {
  const events: { readonly stream: string; readonly message: JSONRPCMessage }[] = [];
  return {
    storeEvent: async (stream, message) => String(events.push({ stream, message })),
    getStreamIdForEventId: async (id) => events[Number(id) - 1]?.stream,
    replayEventsAfter: async (id, { send }) => {
      const stream = events[Number(id) - 1]?.stream ?? "";
      for (const [place, event] of events.entries()) {
        // The event that opens a stream only carries its id (2025-11-25, Transports §Sending Messages to the Server).
        const isMessage = "jsonrpc" in event.message;
        if (place >= Number(id) && event.stream === stream && isMessage)
          await send(String(place + 1), event.message);
      }
      return stream;
    },
  };
}

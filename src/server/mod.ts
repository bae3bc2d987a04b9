/** server: rqlite's HTTP API in front of a replica. See docs/http-api.md. */
export * from "./options.ts";
export { type RunningServer, startServer } from "./server.ts";

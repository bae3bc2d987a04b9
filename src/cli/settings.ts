/** From the values of the flags to the settings of a node. Here every flag meets what honours it. */
import { readFileSync } from "node:fs";
import type { NodeSettings } from "../entry/mod.ts";
import { DEFAULT_LIMITS, DEFAULT_QUEUE, type ServerOptions, type TlsOptions } from "../server/mod.ts";
import { splitAddress } from "./flag-value.ts";
import type { FlagValues } from "./flags.ts";
import { advertised } from "./pumiced-arguments.ts";
import { packageVersion } from "./version.ts";

/** The settings of a node that runs in `dataDirectory`. `log` takes its lines. */
export function nodeSettings(values: FlagValues, dataDirectory: string, log: (line: string) => void): NodeSettings {
  return {
    dataDirectory,
    version: `v${packageVersion()}`,
    server: serverOptions(values),
    nodeId: orUndefined(values["node-id"]),
    raftAddress: advertised(values, "raft"),
    foreignKeys: values.fk,
    readers: values["db-max-ro-conns"] === 0 ? values.readers : Math.min(values.readers, values["db-max-ro-conns"]),
    writeTimeoutMs: values["db-write-timeout"],
    walLimitBytes: values["raft-snap-wal-size"],
    logSegmentBytes: values["raft-log-segment-size"],
    applyTimeoutMs: values["raft-apply-timeout"],
    electionTimeoutMs: values["raft-heartbeat-timeout"],
    log,
  };
}

function serverOptions(values: FlagValues): ServerOptions {
  const listen = splitAddress(values["http-addr"]) ?? { host: "localhost", port: 4001 };
  return {
    host: listen.host,
    port: listen.port,
    advertisedAddress: orUndefined(values["http-adv-addr"]),
    allowOrigin: orUndefined(values["http-allow-origin"]),
    authFile: orUndefined(values.auth),
    tls: tlsOptions(values),
    readTimeoutMs: values["db-read-timeout"] || undefined,
    readTimeoutMsMax: values["db-timeout-max"] || values["db-read-timeout"] || undefined,
    limits: {
      ...DEFAULT_LIMITS,
      maxBodyBytes: values["http-max-body"],
      maxStatements: values["http-max-statements"],
      maxResultBytes: values["http-max-result"],
      maxMemoryBytes: values["http-max-memory"],
      maxBackups: values["http-max-backups"],
      maxConnections: Math.min(values["http-max-conns"], connectionsMax()),
      headerTimeoutMs: values["http-header-timeout"],
    },
    queue: {
      ...DEFAULT_QUEUE,
      capacity: values["write-queue-capacity"],
      batchSize: values["write-queue-batch-size"],
      timeoutMs: values["write-queue-timeout"],
      transaction: values["write-queue-tx"],
    },
  };
}

/** Descriptors that the node itself needs, for files, threads and databases. */
const OWN_DESCRIPTORS = 256;
/** Even of few descriptors some are for clients. */
const CONNECTIONS_MIN = 16;

/** How many connections the system's limit of open files leaves room for. Node raises the soft limit to the hard one when it starts. */
function connectionsMax(): number {
  let limits: string;
  try {
    limits = readFileSync("/proc/self/limits", "latin1");
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Another system than Linux: the flag alone decides.
    return Infinity;
  }
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return Math.max(CONNECTIONS_MIN, files - OWN_DESCRIPTORS);
}

function tlsOptions(values: FlagValues): TlsOptions | undefined {
  if (values["http-cert"] === "") return undefined;
  return {
    certFile: values["http-cert"],
    keyFile: values["http-key"],
    caFile: orUndefined(values["http-ca-cert"]),
    verifyClient: values["http-verify-client"],
  };
}

function orUndefined(text: string): string | undefined {
  return text === "" ? undefined : text;
}

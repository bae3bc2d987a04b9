/**
 * HTTPS: certificate and key from files, read again when they change, so that a renewed certificate needs no restart.
 * A pair that cannot be used is reported and the one in use stays.
 */
import { readFileSync, statSync } from "node:fs";
import type { Server as HttpsServer } from "node:https";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { PumiceError } from "../base/mod.ts";
import type { Counters } from "./counters.ts";
import type { LogLine, TlsOptions } from "./options.ts";

/** How often the files are looked at, ms. */
const RELOAD_MS = 2000;

/** What TLS is made of. @throws SERVER_TLS_FILE if a file cannot be read or used, naming it. */
export function readSecureContext(options: TlsOptions): SecureContextOptions {
  const context: SecureContextOptions = {
    minVersion: "TLSv1.2",
    cert: read(options.certFile, "-http-cert"),
    key: read(options.keyFile, "-http-key"),
  };
  if (options.caFile !== undefined) context.ca = read(options.caFile, "-http-ca-cert");
  try {
    createSecureContext(context);
  } catch (error) {
    throw new PumiceError(
      "SERVER_TLS_FILE",
      { cert: options.certFile, key: options.keyFile, problem: "certificate and key cannot be used together" },
      error,
    );
  }
  return context;
}

function read(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new PumiceError("SERVER_TLS_FILE", { path, flag, problem: error instanceof Error ? error.message : "it cannot be read" }, error);
  }
}

/** Looks at the files from time to time until stopped. */
export class CertificateReloader {
  readonly #server: HttpsServer;
  readonly #options: TlsOptions;
  readonly #counters: Counters;
  readonly #log: LogLine;
  readonly #timer: NodeJS.Timeout;
  #seen: string;

  constructor(server: HttpsServer, options: TlsOptions, parts: { readonly counters: Counters; readonly log: LogLine }) {
    this.#server = server;
    this.#options = options;
    this.#counters = parts.counters;
    this.#log = parts.log;
    this.#seen = this.#stamp();
    this.#timer = setInterval(() => {
      this.check();
    }, RELOAD_MS);
    this.#timer.unref();
  }

  /** Reads the files again if they changed since they were last read. */
  check(): void {
    const stamp = this.#stamp();
    if (stamp === this.#seen) return;
    this.#seen = stamp;
    try {
      this.#server.setSecureContext(readSecureContext(this.#options));
      this.#counters.http.tls_cert_fetched++;
      this.#log(`http: certificate read again file=${this.#options.certFile}`);
    } catch (error) {
      this.#log(`http: the changed certificate is not used, the old one stays: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #stamp(): string {
    return [this.#options.certFile, this.#options.keyFile, this.#options.caFile ?? ""].map(stampOf).join("|");
  }
}

function stampOf(path: string): string {
  const stat = path === "" ? undefined : statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "absent" : `${String(stat.ino)}:${String(stat.size)}:${String(stat.mtimeMs)}`;
}

/** The address of a store, as a person writes it, made into a store. */
import { fileURLToPath } from "node:url";
import { PumiceError, type ObjectStore } from "../base/mod.ts";
import { LocalObjectStore } from "./local-store/local-object-store.ts";
import { s3FromEnvironment, type Environment } from "./s3/options.ts";
import { S3ObjectStore } from "./s3/s3-object-store.ts";

/** What the address does not say. */
export interface ObjectStoreSettings {
  /** Credentials, region and endpoint of S3, by the names that Amazon's tools use. */
  readonly env: Environment;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  /** Of a directory. Default true. */
  readonly isSynced?: boolean | undefined;
}

/** A store that was opened by its address. Its closer is its opener. */
export interface OpenedObjectStore {
  readonly store: ObjectStore;
  /** What of the address names a place in the store: the path behind an S3 bucket; empty for a directory. */
  readonly path: string;
  /** The address in full, without secrets. */
  readonly address: string;
  close(): Promise<void>;
}

/** Opens `s3://bucket/path`, `file:///directory` or a plain directory. Does not look whether it exists. @throws STORE_URL */
export function openObjectStore(address: string, settings: ObjectStoreSettings): OpenedObjectStore {
  if (/^s3:/i.test(address)) return openS3(address, settings);
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(address)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "file") {
    throw new PumiceError("STORE_URL", { reason: `${scheme}: is not known; write s3://bucket/path, file:///directory or a directory` });
  }
  if (address === "") throw new PumiceError("STORE_URL", { reason: "it is empty" });
  const root = scheme === "file" ? pathOfFileUrl(address) : address;
  const store = new LocalObjectStore({ root, isSynced: settings.isSynced });
  return { store, path: "", address: store.root, close: () => Promise.resolve() };
}

function openS3(address: string, settings: ObjectStoreSettings): OpenedObjectStore {
  const url = URL.parse(address);
  if (url === null || url.hostname === "") throw new PumiceError("STORE_URL", { reason: "it names no bucket; write s3://bucket/path" });
  if (url.username !== "" || url.password !== "") {
    throw new PumiceError("STORE_URL", {
      reason: "credentials do not belong into an address; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    });
  }
  if (url.search !== "" || url.hash !== "" || url.port !== "") {
    throw new PumiceError("STORE_URL", { reason: "an S3 address has a bucket and a path, nothing else", bucket: url.hostname });
  }
  const path = decodedPath(url.pathname).replaceAll(/^\/+|\/+$/g, "");
  const fromEnvironment = s3FromEnvironment(settings.env);
  const store = new S3ObjectStore({
    bucket: url.hostname,
    credentials: fromEnvironment.credentials,
    region: settings.region ?? fromEnvironment.region,
    endpoint: settings.endpoint ?? fromEnvironment.endpoint,
  });
  return { store, path, address: `s3://${url.hostname}/${path}`, close: () => store.close() };
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    throw new PumiceError("STORE_URL", { reason: "its path is no percent-encoded text; write %25 for a percent sign", path }, error);
  }
}

function pathOfFileUrl(address: string): string {
  try {
    return fileURLToPath(address);
  } catch (error) {
    throw new PumiceError("STORE_URL", { reason: "not an absolute file address; write file:///directory" }, error);
  }
}

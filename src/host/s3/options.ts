/** Settings of the S3 store, and where the environment's come from. */
import { PumiceError, type Clock, type Random } from "../../base/mod.ts";
import type { S3Credentials } from "./sigv4.ts";

/** Gives credentials when they are needed: at first, before they expire, and once after the store said that they have. */
export type S3CredentialsProvider = () => Promise<S3Credentials>;

/** How `If-Match` names a version. Ceph's gateway takes the quoted form, which HTTP asks for, for a version that never matches. */
export type IfMatchStyle = "auto" | "quoted" | "unquoted";

/** Settings and components of an S3 store. */
export interface S3ObjectStoreOptions {
  readonly bucket: string;
  /** Before every key, with its slash at the end if it is a folder. Default none. */
  readonly prefix?: string | undefined;
  /** Default `https://s3.REGION.amazonaws.com`. */
  readonly endpoint?: string | undefined;
  /** Default us-east-1, which is also what stores that know no regions expect. */
  readonly region?: string | undefined;
  readonly credentials: S3Credentials | S3CredentialsProvider;
  /** Bucket in the path or in the host's name. Default: in the path if an endpoint is given, in the host's name at Amazon's. */
  readonly isPathStyle?: boolean | undefined;
  /** Default auto: quoted, until the store turns out to be one that wants it unquoted. */
  readonly ifMatchStyle?: IfMatchStyle | undefined;
  /** How often a request is sent at most before its error is the caller's. Default 8: about 20 s of a store that is down. */
  readonly attemptsMax?: number | undefined;
  /** Silence on the connection after which an attempt is given up, ms. Default 15,000. */
  readonly silenceMsMax?: number | undefined;
  /** The first wait between attempts, ms; doubled each time up to 5 s, and a random part of it taken. Default 100. */
  readonly backoffMs?: number | undefined;
  /** Connections at a time. Default 64. */
  readonly connectionsMax?: number | undefined;
  /** Size from which an unconditional put is sent in parts. Default 32 MiB. */
  readonly multipartBytesMin?: number | undefined;
  /** Size of a part, at least 5 MiB at Amazon's. Default 16 MiB. */
  readonly partBytes?: number | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Default: the machine's. */
  readonly random?: Random | undefined;
}

/** Environment variables, as Node has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Credentials, region and endpoint from the variables that Amazon's tools read. */
export function s3FromEnvironment(env: Environment): Pick<S3ObjectStoreOptions, "credentials" | "region" | "endpoint"> {
  return {
    credentials: credentialsFromEnvironment(env),
    region: env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"],
    endpoint: env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"] ?? env["AWS_ENDPOINT"],
  };
}

/** Looks when asked, so that a command that needs no store runs without. */
function credentialsFromEnvironment(env: Environment): S3CredentialsProvider {
  return () => {
    const accessKeyId = env["AWS_ACCESS_KEY_ID"];
    const secretAccessKey = env["AWS_SECRET_ACCESS_KEY"];
    if (accessKeyId === undefined || secretAccessKey === undefined || accessKeyId === "" || secretAccessKey === "") {
      const reason = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if they expire)";
      return Promise.reject(new PumiceError("STORE_REFUSED", { reason }));
    }
    return Promise.resolve({ accessKeyId, secretAccessKey, sessionToken: env["AWS_SESSION_TOKEN"] });
  };
}

/** Where requests go. */
export interface S3Address {
  readonly isSecure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** The Host header. */
  readonly host: string;
  /** Before every key, encoded: `/`, or `/bucket/`. */
  readonly basePath: string;
}

/** The address of the bucket. @throws STORE_URL if bucket or endpoint cannot be one. */
export function addressOf(options: S3ObjectStoreOptions): S3Address {
  const { bucket, endpoint } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket))
    throw new PumiceError("STORE_URL", { reason: "not the name of a bucket", bucket });
  const isPathStyle = options.isPathStyle ?? endpoint !== undefined;
  const url = URL.parse(endpoint ?? `https://s3.${options.region ?? "us-east-1"}.amazonaws.com`);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new PumiceError("STORE_URL", { reason: "the endpoint is no http or https address", endpoint: url === null ? "" : url.protocol });
  }
  if (url.username !== "" || url.password !== "") {
    throw new PumiceError("STORE_URL", {
      reason: "credentials do not belong into the endpoint; give them by the environment",
      host: url.host,
    });
  }
  if (url.search !== "" || url.hash !== "") throw new PumiceError("STORE_URL", { reason: "the endpoint has a query", host: url.host });
  const host = isPathStyle ? url.host : `${bucket}.${url.host}`;
  const hostname = (isPathStyle ? url.hostname : `${bucket}.${url.hostname}`).replace(/^\[|\]$/g, "");
  const above = url.pathname.replace(/\/+$/, "");
  const isSecure = url.protocol === "https:";
  const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
  return { isSecure, hostname, port, host, basePath: isPathStyle ? `${above}/${bucket}/` : `${above}/` };
}

/** What the server needs of a replica, and no more: tests of the queue put their own in its place. */
import type { RequestId, ResultFormat, ResultText, Statement } from "../sql/mod.ts";

export type Level = "none" | "weak" | "linearizable" | "strong" | "auto";
export interface WriteRequest {
  readonly kind: "execute" | "request";
  readonly statements: readonly Statement[];
  readonly transaction?: boolean | undefined;
  readonly script?: boolean | undefined;
  readonly dbTimeoutMs?: number | undefined;
  readonly requestId?: RequestId | undefined;
  readonly format?: ResultFormat | undefined;
  readonly timings?: boolean | undefined;
}
export interface ReadRequest {
  readonly statements: readonly Statement[];
  readonly level: Level;
  readonly freshnessMs?: number | undefined;
  readonly freshnessStrict?: boolean | undefined;
  readonly linearizableTimeoutMs?: number | undefined;
  readonly dbTimeoutMs?: number | undefined;
  readonly transaction?: boolean | undefined;
  readonly format?: ResultFormat | undefined;
  readonly timings?: boolean | undefined;
  readonly resultBytesMax?: number | undefined;
  readonly orWrite?: boolean | undefined;
}
export type Outcome =
  | { readonly kind: "results"; readonly results: ResultText; readonly raftIndex?: number | undefined }
  | { readonly kind: "error"; readonly error: string }
  | { readonly kind: "writes" };

export interface ReplicaPort {
  write(request: WriteRequest, options?: { readonly timeoutMs?: number | undefined }): Promise<Outcome>;
  read(request: ReadRequest, options?: { readonly signal?: AbortSignal | undefined }): Promise<Outcome>;
  load(source: AsyncIterable<Uint8Array>, options?: { readonly signal?: AbortSignal | undefined }): Promise<Outcome>;
  backup(options: BackupRequest): AsyncIterable<Uint8Array>;
  status(): Promise<unknown>;
  leader(): { readonly id: string; readonly address: string } | undefined;
  isReady(): boolean;
  waitApplied(index: number | "commit", options: { readonly timeoutMs: number }): Promise<boolean>;
  readonly nodeId: string;
}
export interface BackupRequest {
  readonly format: "binary" | "delete" | "sql";
  readonly vacuum: boolean;
  readonly tables: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** What the server needs of a replica, and no more: tests of the queue put their own in its place. */
import type { Status } from "../raft/mod.ts";
import type { BackupOptions, DumpOptions, RequestId, ResultFormat, ResultText, SqliteStatus, Statement } from "../sql/mod.ts";

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

interface Identity {
  readonly id: string;
  readonly address: string;
}
interface Position {
  readonly index: number;
  readonly term: number;
}
export interface ReplicaStatus {
  readonly raft: Status;
  readonly applied: Position;
  readonly leader: Identity | undefined;
  readonly waitingWrites: number;
  readonly waitingApply: number;
  readonly reads: number;
  readonly readers: number;
  readonly walBytes: number;
  readonly checkpoints: { readonly checkpoints: number; readonly busy: number; readonly readsInterrupted: number };
  readonly writer: SqliteStatus;
  readonly reader: SqliteStatus;
}
export type BackupRequest = ({ readonly format: "file" } & BackupOptions) | ({ readonly format: "sql" } & DumpOptions);
export interface ReplicaPort {
  write(request: WriteRequest, options?: { readonly timeoutMs?: number | undefined }): Promise<Outcome>;
  read(request: ReadRequest, options?: { readonly signal?: AbortSignal | undefined }): Promise<Outcome>;
  load(source: AsyncIterable<Uint8Array>): Promise<Outcome>;
  backup(request: BackupRequest): AsyncGenerator<Uint8Array, void, void>;
  status(): Promise<ReplicaStatus>;
  leader(): Identity | undefined;
  isReady(): boolean;
  waitApplied(index: number | undefined, timeoutMs: number): Promise<boolean>;
}

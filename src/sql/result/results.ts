/**
 * What an entry or a read gives back: finished JSON text, built on the thread that ran it, so that the HTTP thread only concatenates.
 */

/** Text that stands between the brackets of `"results":[…]`. Bytes are its UTF-8: a large text crosses threads as a moved buffer. */
export type ResultText = string | Uint8Array;

/** The outcome of one entry. */
export interface EntryResult {
  /** Empty if the result was not wanted, or if `error` is set. */
  readonly results: ResultText;
  /** An error of the whole request, the `"error"` beside `"results":[]`: a refused PRAGMA, a load that failed. */
  readonly error?: string | undefined;
}

/** The outcome of one read request. */
export interface SqlReadResult {
  readonly results: ResultText;
  /** As in `EntryResult`. */
  readonly error?: string | undefined;
  /** Set, with nothing run, if the request said `unlessWrite` and a statement of it writes or cannot be prepared: send it through the log. */
  readonly writes?: boolean | undefined;
  /** The request is one simple statement: an InlineReader may run it from now on. */
  readonly isSimple?: boolean | undefined;
  /** Another thread interrupted it: `results` holds the error. */
  readonly interrupted?: boolean | undefined;
}

/** Longer texts cross threads as bytes. */
export const TEXT_CHARS_MAX = 64 * 1024;

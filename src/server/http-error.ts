/** An answer other than success, thrown by whatever finds the fault and sent by the exchange. Not a fault of the server. */

/** Status and text (empty: no body) of an answer. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  /** Further headers, as name and value in turn. */
  readonly headers: readonly string[];

  constructor(status: number, text: string, headers: readonly string[] = []) {
    super(text);
    this.status = status;
    this.headers = headers;
  }
}

/** The client went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

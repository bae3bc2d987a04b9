/** The HTTP API as the tools' drivers need it. What was sent is kept, so that the gate can send it without the tools. */

/** Rows of one statement. */
export interface Rows {
  readonly columns: readonly string[];
  readonly values: readonly (readonly unknown[])[];
}

/** A connection to one node. */
export class Http {
  readonly #url: string;
  /** SQL texts, each once. */
  readonly sent = new Set<string>();

  constructor(url: string) {
    this.#url = url;
  }

  /** @throws Error with the statement's error. */
  async run(sql: string, params: readonly unknown[] = []): Promise<Rows> {
    this.sent.add(sql);
    const response = await fetch(`${this.#url}/db/request`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([[sql, ...params]]),
    });
    const answer = (await response.json()) as { results: { error?: string; columns?: string[]; values?: unknown[][] }[]; error?: string };
    const result = answer.results[0];
    const error = answer.error ?? result?.error;
    if (error !== undefined) throw new Error(`${error}: ${sql}`);
    return { columns: result?.columns ?? [], values: result?.values ?? [] };
  }

  /** The rows as objects. */
  async objects(sql: string, params: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const { columns, values } = await this.run(sql, params);
    return values.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  }
}

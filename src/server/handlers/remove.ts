/** DELETE /remove: takes a node out of the cluster. A single node has only itself, and itself it cannot remove. */
import { collectBody } from "../body.ts";
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";
import { openReplica } from "./database.ts";

/** @throws HttpError 400 without a text if the body is not `{"id":"..."}`, 500 for this node's own id */
export async function handleRemove(exchange: Exchange): Promise<void> {
  const id = parseId(await collectBody(exchange));
  if (id === undefined) throw new HttpError(400, "");
  const member = openReplica(exchange)
    .nodes()
    .find(({ name }) => name === id);
  if (member !== undefined) throw new HttpError(500, "this is the only voting node: without it there would be no cluster");
  // A node that is no member is removed already: asking twice gives the same answer.
  exchange.send({ status: 200, headers: exchange.servedBy() });
}

function parseId(body: Buffer): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Object.keys(parsed).length !== 1) return undefined;
  const { id } = parsed as { readonly id?: unknown };
  return typeof id === "string" ? id : undefined;
}

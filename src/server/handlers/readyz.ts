/** GET /readyz: whether this node can serve, in rqlite's words, with a real read of the database. */
import type { Exchange } from "../exchange.ts";
import { TEXT_TYPE } from "../exchange.ts";
import type { ReplicaPort } from "../replica-port.ts";
import { DEFAULT_TIMEOUT_MS } from "./database.ts";

/** So long the read may wait behind others. Shorter than the patience of what usually asks, a second. Unit: ms. */
const READ_MS = 500;

const NODE_OK = "[+]node ok";
const LEADER_OK = `${NODE_OK}\n[+]leader ok`;
const STORE_OK = `${LEADER_OK}\n[+]store ok`;

/** 200 if ready, else 503; the text says how far it got. */
export async function handleReadyz(exchange: Exchange): Promise<void> {
  exchange.app.counters.http.num_readyz++;
  const { status, text } = await check(exchange);
  exchange.send({ status, type: TEXT_TYPE, parts: [text] });
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function check(exchange: Exchange): Promise<Answer> {
  const { app, params } = exchange;
  if (params.noleader) return { status: 200, text: NODE_OK };
  const replica = app.parts.replica();
  if (replica?.leader() === undefined) return { status: 503, text: `${NODE_OK}\n[+]leader does not exist` };
  if (!replica.isReady()) return { status: 503, text: `${LEADER_OK}\n[+]store not ready` };
  let text = STORE_OK;
  if (params.sync) {
    const isApplied = await replica.waitApplied(undefined, params.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    if (!isApplied) return { status: 503, text: `${text}\n[+]sync timeout` };
    text += "\n[+]sync ok";
  }
  const problem = await readOnce(replica);
  if (problem !== undefined) return { status: 503, text: `${text}\n[+]db not ok: ${problem}` };
  return { status: 200, text: `${text}\n[+]db ok` };
}

/**
 * What is wrong with the database, or undefined. Readers that are all busy are no fault of the node: it would be taken out of service, or
 * killed, by its clients' slow reads. A reader that fails stops the node by itself.
 */
async function readOnce(replica: ReplicaPort): Promise<string | undefined> {
  const signal = AbortSignal.timeout(READ_MS);
  try {
    const outcome = await replica.read({ statements: [{ sql: "SELECT 1" }], level: "none" }, { signal });
    return outcome.kind === "error" ? outcome.error : undefined;
  } catch (error) {
    if (signal.aborted) return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}

/** GET /debug/vars: counters, as Go's expvar prints them: one variable a line, sorted by name. */
import type { Exchange } from "../exchange.ts";
import { JSON_TYPE } from "../exchange.ts";
import { prettyJson } from "../pretty.ts";
import { collectVariables } from "../variables.ts";

/** All variables, or with `key` one of them. */
export async function handleVars(exchange: Exchange): Promise<void> {
  const { key } = exchange.params;
  const variables = await collectVariables(exchange.app);
  const names = Object.keys(variables)
    .filter((name) => key === undefined || key === "" || name === key)
    .toSorted();
  const lines = names.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(variables[name])}`).join(",\n");
  const text = `{\n${lines}\n}\n`;
  exchange.send({
    status: 200,
    type: JSON_TYPE,
    parts: [exchange.params.pretty ? prettyJson(Buffer.from(JSON.stringify(JSON.parse(text)))) : text],
  });
}

/** GET /licenses: what this program is made of, and under which terms. */
import { type Exchange, TEXT_TYPE } from "../exchange.ts";

const TEXT = `Pumice is distributed under the MIT License.

It runs on and contains:

Node.js                MIT License, with the licenses of what it contains: https://github.com/nodejs/node/blob/main/LICENSE
SQLite                 public domain: https://sqlite.org/copyright.html (as part of Node.js, and its two header files in src/sql/native)

The HTTP API follows rqlite (MIT License), the files in object storage follow SlateDB (Apache License 2.0). Neither's code is included.
`;

/** Plain text. */
export function handleLicenses(exchange: Exchange): void {
  exchange.send({ status: 200, type: TEXT_TYPE, parts: [TEXT] });
}

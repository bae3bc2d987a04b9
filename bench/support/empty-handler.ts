/** The limit of any HTTP server here: node:http that reads the whole body and answers a fixed text. Run as a process of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const ANSWER = Buffer.from('{"results":[{"last_insert_id":1,"rows_affected":1}]}');
const HEADERS = ["Content-Type", "application/json; charset=utf-8", "Content-Length", String(ANSWER.length)];

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(200, HEADERS);
    response.end(ANSWER);
  });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});

/** What a browser sends for a page of somebody else is refused, and what people and programs send is not. */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { foreignHost, isForeign } from "../../src/server/origin.ts";
import { TestNode } from "./support/node.ts";

const OWN = { host: "127.0.0.1", advertised: undefined, allowOrigin: undefined };

test("a node on loopback answers to names of loopback, its advertised name, and the origin that it allows", () => {
  for (const host of [
    "localhost",
    "LOCALHOST:4001",
    "localhost.",
    "127.0.0.1:4001",
    "127.8.9.1",
    "[::1]:4001",
    "app.localhost:80",
    undefined,
  ]) {
    assert.equal(foreignHost(host, OWN), undefined, host);
  }
  for (const host of [
    "evil.example",
    "evil.example:4001",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",
    "192.168.0.2",
    "",
  ]) {
    assert.equal(foreignHost(host, OWN), host.replace(/:\d+$/, ""), host);
  }
  assert.equal(foreignHost("db.example:4001", { ...OWN, advertised: "db.example:80" }), undefined);
  assert.equal(foreignHost("app.example:4001", { ...OWN, allowOrigin: "https://app.example:3000" }), undefined);
  assert.equal(
    foreignHost("evil.example", { ...OWN, host: "0.0.0.0" }),
    undefined,
    "a node on other addresses has names that nobody told it",
  );
});

test("a page of another site neither writes nor runs SQL by GET; a link to a page of ours is followed", () => {
  const request = (method: string, url: string, headers: Readonly<Record<string, string>>): IncomingMessage =>
    ({ method, url, headers: { host: "localhost:4001", ...headers } }) as unknown as IncomingMessage;
  for (const site of ["cross-site", "same-site"]) {
    const image = { "sec-fetch-site": site, "sec-fetch-mode": "no-cors" };
    const link = { "sec-fetch-site": site, "sec-fetch-mode": "navigate" };
    assert.ok(isForeign(request("GET", "/db/query?q=x", image), undefined), site);
    assert.ok(isForeign(request("GET", "/db/query?q=x", link), undefined), `${site}: a link that runs SQL`);
    assert.ok(isForeign(request("POST", "/db/execute", image), undefined), site);
    assert.ok(!isForeign(request("GET", "/console/", link), undefined), site);
    assert.ok(!isForeign(request("GET", "/db/query?q=x", image), "*"), site);
  }
  for (const site of ["same-origin", "none"])
    assert.ok(!isForeign(request("GET", "/db/query?q=x", { "sec-fetch-site": site }), undefined), site);
  assert.ok(!isForeign(request("GET", "/db/query?q=x", {}), undefined), "curl says nothing of the kind");
});

test("a name that somebody made lead to 127.0.0.1 reads nothing and writes nothing (DNS rebinding)", async () => {
  await using node = await TestNode.start();
  await node.execute("CREATE TABLE t(a)", "INSERT INTO t VALUES('secret')");
  const headers = { Host: "rebind.example:4001", Origin: "http://rebind.example:4001", "Sec-Fetch-Site": "same-origin" };
  for (const [path, body] of [["/db/query", '["SELECT a FROM t"]'] as const, ["/db/execute", '["DELETE FROM t"]'] as const]) {
    const reply = await node.call(path, { method: "POST", body, headers });
    assert.equal(reply.status, 421);
    assert.match(reply.text, /this node is not called "rebind\.example"/);
  }
  assert.match(await node.query("SELECT a FROM t"), /secret/);
});

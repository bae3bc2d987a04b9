/** The laws of HTTPS: certificates, of the server and of clients, and what becomes of them when the files change. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { isPumiceError } from "../../src/base/mod.ts";
import { DEFAULT_LIMITS, DEFAULT_QUEUE, type RunningServer, startServer, type TlsOptions } from "../../src/server/mod.ts";
import { eventually } from "./support/http.ts";

const file = (name: string) => fileURLToPath(new URL(`support/tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(file(name));

interface Started {
  readonly server: RunningServer;
  readonly log: string[];
}

async function start(tls: TlsOptions): Promise<Started> {
  const log: string[] = [];
  const node = { id: "1", version: "v", raftAddress: "localhost:4002", dataDirectory: "d" };
  const options = { host: "127.0.0.1", port: 0, tls, limits: { ...DEFAULT_LIMITS, closeTimeoutMs: 200 }, queue: DEFAULT_QUEUE };
  return { server: await startServer(options, { replica: () => undefined, node, log: (line) => log.push(line) }), log };
}

/** The status of a request, and the name on the certificate that the server showed. */
function get(
  url: string,
  options: { readonly cert?: Buffer; readonly key?: Buffer } = {},
): Promise<{ readonly status: number; readonly name: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/readyz?noleader`, { ca: pem("ca.pem"), agent: false, ...options }, (response) => {
      const name = String((response.socket as TLSSocket).getPeerCertificate().subject.CN);
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0, name }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

test("the API is served over HTTPS, and not over plain HTTP or old TLS", async () => {
  const { server } = await start({ certFile: file("first.pem"), keyFile: file("first.key"), verifyClient: false });
  try {
    assert.ok(server.url.startsWith("https://"));
    assert.deepEqual(await get(server.url), { status: 200, name: "first" });
    const port = Number(new URL(server.url).port);
    const old = connect({ port, host: "127.0.0.1", ca: pem("ca.pem"), maxVersion: "TLSv1.1", minVersion: "TLSv1" });
    await assert.rejects(new Promise((resolve, reject) => old.once("secureConnect", resolve).once("error", reject)));
    await assert.rejects(fetch(server.url.replace("https", "http")));
  } finally {
    await server.close();
  }
});

test("with client verification only clients that the authority signed are let in", async () => {
  const { server } = await start({ certFile: file("first.pem"), keyFile: file("first.key"), caFile: file("ca.pem"), verifyClient: true });
  try {
    assert.deepEqual(await get(server.url, { cert: pem("client.pem"), key: pem("client.key") }), { status: 200, name: "first" });
    await assert.rejects(get(server.url));
    await assert.rejects(get(server.url, { cert: pem("stranger.pem"), key: pem("stranger.key") }));
  } finally {
    await server.close();
  }
});

test("a certificate that changes is served without a restart, and one that does not fit is not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-tls-"));
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  copyFileSync(file("first.pem"), certFile);
  copyFileSync(file("first.key"), keyFile);
  const { server, log } = await start({ certFile, keyFile, verifyClient: false });
  try {
    assert.equal((await get(server.url)).name, "first");
    writeFileSync(certFile, "this is no certificate");
    await eventually(() => log.some((line) => /the old one stays/.test(line)), "the bad file is reported");
    assert.equal((await get(server.url)).name, "first");
    copyFileSync(file("second.key"), keyFile);
    copyFileSync(file("second.pem"), certFile);
    await eventually(async () => (await get(server.url)).name === "second", "the new certificate is served");
    assert.ok(!log.some((line) => line.includes("PRIVATE")));
  } finally {
    await server.close();
    rmSync(folder, { recursive: true });
  }
});

test("files that cannot be used are refused at the start, by name", async () => {
  const cases: readonly (readonly [TlsOptions, RegExp])[] = [
    [{ certFile: "/nowhere/cert.pem", keyFile: file("first.key"), verifyClient: false }, /nowhere.*-http-cert/],
    [{ certFile: file("first.pem"), keyFile: "/nowhere/key.pem", verifyClient: false }, /nowhere.*-http-key/],
    [{ certFile: file("first.pem"), keyFile: file("second.key"), verifyClient: false }, /cannot be used together/],
    [{ certFile: file("README.md"), keyFile: file("first.key"), verifyClient: false }, /cannot be used together/],
  ];
  for (const [tls, problem] of cases) {
    await assert.rejects(start(tls), (error) => isPumiceError(error, "SERVER_TLS_FILE") && problem.test(error.message));
  }
});

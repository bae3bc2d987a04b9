/**
 * A real S3 server for tests and trials: Ceph's gateway from Debian's packages.
 * `node test/long/s3-server.ts` starts one in memory, prints what to set in the environment, and runs until Ctrl-C.
 * `node test/long/s3-server.ts install` installs the packages (Debian and Ubuntu, as root).
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { RADOSGW_PACKAGES, radosgwMissing, startRadosgw } from "../host/support/radosgw.ts";

if (process.argv[2] === "install") {
  const options = { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } } as const;
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...RADOSGW_PACKAGES]]) {
    const result = spawnSync("apt-get", args, options);
    if (result.error !== undefined) throw result.error;
    if (result.status !== 0) process.exit(result.status ?? 1);
  }
} else {
  const missing = radosgwMissing();
  if (missing !== undefined) {
    console.error(`s3-server: ${missing}`);
    process.exit(1);
  }
  const server = await startRadosgw();
  console.log(`export AWS_ENDPOINT_URL=${server.endpoint}`);
  console.log(`export AWS_ACCESS_KEY_ID=${server.accessKeyId}`);
  console.log(`export AWS_SECRET_ACCESS_KEY=${server.secretAccessKey}`);
  // Signals alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  clearInterval(alive);
  await server.stop();
}

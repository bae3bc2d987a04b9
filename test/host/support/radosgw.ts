/**
 * A real S3 server on this machine: Ceph's gateway with one monitor and one store in memory, each a child process that dies with this
 * one. Debian packages: radosgw ceph-mon ceph-osd ceph-common.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What to install where it is missing. */
export const RADOSGW_PACKAGES = ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"] as const;

const PROGRAMS = ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "setpriv"];
/** Each step of starting takes a few seconds at most on an idle machine; this is for a busy one. */
const STEP_MS_MAX = 40_000;

/** A running server. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

/** Why the server cannot be started here; undefined if it can. */
export function radosgwMissing(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":").concat("/usr/bin", "/usr/sbin");
  const missing = PROGRAMS.filter((program) => !folders.some((folder) => existsSync(`${folder}/${program}`)));
  if (missing.length === 0) return undefined;
  return `no real S3 server here: ${missing.join(", ")} missing; install with: node test/long/s3-server.ts install`;
}

/** Starts one in a temporary directory. Takes about 10 s. */
export async function startRadosgw(): Promise<S3Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce();
    } catch (error) {
      // A port that was free may be taken before it is used, and then two clusters talk to one another.
      if (attempt === 3) throw error;
    }
  }
}

async function startOnce(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), "pumice-radosgw-"));
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.ref(); // Or this process might end before it has seen the child's end.
      // Nothing in it is worth keeping, so nothing is worth its taking leave.
      child.kill("SIGKILL");
      await gone;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [monitorPort, port] = [await freePort(), await freePort()];
    const configuration = join(folder, "ceph.conf");
    const fsid = randomUUID();
    await mkdir(join(folder, "mon"));
    await mkdir(join(folder, "osd"));
    await writeFile(configuration, configurationOf({ folder, fsid, monitorPort, port }));
    const until = (what: string, attempt: () => unknown): Promise<void> => waitFor(what, children, attempt);
    const run = (program: string, ...args: string[]): string => runTool(program, ["-c", configuration, ...args]);
    const daemon = (program: string, ...args: string[]): void => {
      // setpriv: the kernel ends it when the process that started it ends, however that ends.
      const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, "-f", "-c", configuration, ...args], { stdio: "ignore" });
      child.unref();
      children.push(child);
    };
    const keyring = join(folder, "keyring");
    runTool("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    const caps = ["mon", "osd", "mgr"].flatMap((name) => ["--cap", name, "allow *"]);
    runTool("ceph-authtool", [keyring, "--gen-key", "-n", "client.admin", ...caps]);
    const monmap = join(folder, "monmap");
    runTool("monmaptool", ["--create", "--addv", "a", `[v1:127.0.0.1:${monitorPort}]`, "--fsid", fsid, monmap]);
    run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring);
    daemon("ceph-mon", "-i", "a");
    const osd = randomUUID();
    await until("the monitor to answer", () => run("ceph", "--connect-timeout", "5", "osd", "new", osd));
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    daemon("ceph-osd", "-i", "0");
    // A gateway that starts before there is a store may give up on it.
    await until("the store to be up", () => {
      if (!run("ceph", "--connect-timeout", "5", "osd", "stat").includes("1 up")) throw new Error("not up yet");
    });
    daemon("radosgw", "-n", "client.admin");
    const endpoint = `http://127.0.0.1:${port}`;
    await until("the gateway to answer", () => fetch(endpoint));
    const accessKeyId = `key${randomBytes(6).toString("hex")}`;
    const secretAccessKey = randomBytes(16).toString("hex");
    run(
      "radosgw-admin",
      "user",
      "create",
      "--uid=test",
      "--display-name=test",
      `--access-key=${accessKeyId}`,
      `--secret-key=${secretAccessKey}`,
    );
    return { endpoint, accessKeyId, secretAccessKey, stop };
  } catch (error) {
    const logs = await readFile(join(folder, "log"), "utf8").catch(() => "");
    await stop();
    throw new Error(`radosgw did not start\n${logs.slice(-2000)}`, { cause: error });
  }
}

function runTool(program: string, args: readonly string[]): string {
  const result = spawnSync(program, args, { encoding: "utf8", timeout: STEP_MS_MAX });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${result.status} ${result.signal ?? ""} ${result.stderr}`);
  return result.stdout;
}

async function waitFor(what: string, children: readonly ChildProcess[], attempt: () => unknown): Promise<void> {
  const deadline = Date.now() + STEP_MS_MAX;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      const ended = children.find((child) => child.exitCode !== null || child.signalCode !== null);
      if (ended !== undefined) throw new Error(`${ended.spawnargs.slice(4).join(" ")} ended with ${ended.exitCode}`, { cause: error });
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Below those that the system gives to outgoing connections: one of those could take it before the server does. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + randomInt(12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

function configurationOf(c: { folder: string; fsid: string; monitorPort: number; port: number }): string {
  return `[global]
fsid=${c.fsid}
mon_host=[v1:127.0.0.1:${c.monitorPort}/0]
mon_initial_members=a
public_addr=127.0.0.1
auth_cluster_required=none
auth_service_required=none
auth_client_required=none
osd_pool_default_size=1
osd_pool_default_min_size=1
osd_pool_default_pg_num=1
osd_pool_default_pgp_num=1
osd_pool_default_pg_autoscale_mode=off
mon_allow_pool_size_one=true
mon_max_pg_per_osd=1000
osd_crush_chooseleaf_type=0
osd_objectstore=memstore
memstore_device_bytes=4294967296
ms_bind_msgr2=false
paxos_propose_interval=0.05
paxos_min_wait=0.01
run_dir=${c.folder}
log_file=${c.folder}/log
log_to_stderr=false
admin_socket=${c.folder}/$name.asok
keyring=${c.folder}/keyring
mon_data=${c.folder}/mon
osd_data=${c.folder}/osd
setuser_match_path=
rgw_frontends=beast endpoint=127.0.0.1:${c.port} tcp_nodelay=1
rgw_gc_obj_min_wait=1
rgw_enable_usage_log=false
rgw_relaxed_s3_bucket_names=true
`;
}

/**
 * The process that made a temporary file or a lock, told by its name, so that another process can see whether its maker still lives.
 *
 *     name: # realm 16 digits | pid 10 | start time 14 | random 15
 *
 * A realm is one boot of one machine and one space of process numbers (a container has its own): only within a realm can one process see
 * whether another lives. Digits only, after `#`: SlateDB's local store leaves such names out of its listings, as ours does.
 */
import { crypto, fs, os } from "../built-ins.ts";

const NAME = /^#(\d{16})(\d{10})(\d{14})(\d{15})$/;

/** What can be known of the maker of a name. */
export type Liveness = "alive" | "dead" | "unknown";

let own: string | undefined;

/** A name that was never used before and tells that this process made it. */
export function newOwnName(): string {
  own ??= `#${realm()}${String(process.pid).padStart(10, "0")}${startTime(process.pid) ?? "0".repeat(14)}`;
  // 2^48 fits 15 digits; should two draws ever meet, the exclusive creation of file or lock notices.
  return own + String(crypto().randomInt(2 ** 48 - 1)).padStart(15, "0");
}

/** True if `name` is one of those that `newOwnName` gives. */
export function isOwnName(name: string): boolean {
  return NAME.test(name);
}

/** Whether the process that made `name` still runs; unknown if it ran on another machine, in another boot or container. */
export function livenessOf(name: string): Liveness {
  const match = NAME.exec(name);
  if (match === null) return "unknown";
  const [, itsRealm, pidText, itsStart] = match;
  if (itsRealm !== realm()) return "unknown";
  const pid = Number(pidText);
  const start = startTime(pid);
  // A number may be used again; the start time tells its users apart, where it can be read.
  if (start !== undefined) return start === itsStart ? "alive" : "dead";
  try {
    process.kill(pid, 0);
    return "alive";
  } catch (error) {
    // EPERM: it runs, as another user.
    return error instanceof Error && "code" in error && error.code === "ESRCH" ? "dead" : "alive";
  }
}

let realmDigits: string | undefined;

function realm(): string {
  realmDigits ??= digits(`${os().hostname()} ${bootId()} ${pidSpace()}`);
  return realmDigits;
}

function bootId(): string {
  try {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
  } catch {
    return "no boot id on this platform";
  }
}

function pidSpace(): string {
  try {
    return fs.readlinkSync("/proc/self/ns/pid");
  } catch {
    return "no process spaces on this platform";
  }
}

/** What stands for the start time of a process that ended and whose parent has not taken note. No process starts at it. */
const GONE = "9".repeat(14);

/** When the process started, 14 digits of clock ticks since boot; GONE if it ended; undefined if /proc does not tell. */
function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold blanks; the third is the state, the 22nd the start time.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  return state === "Z" || state === "X" ? GONE : fields[19]?.padStart(14, "0");
}

function digits(text: string): string {
  const hash = crypto().createHash("sha256").update(text).digest().readBigUInt64BE();
  return String(hash % 10n ** 16n).padStart(16, "0");
}

/**
 * Who may do what: rqlite's credentials file, `[{"username":"bob","password":"secret","perms":["execute","query"]}]`.
 * The user `*` stands for everybody, known or not. Passwords are compared in constant time and never appear in any output.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { PumiceError } from "../base/mod.ts";

const PERMISSIONS = [
  "all",
  "join",
  "join-read-only",
  "join-read-replica",
  "remove",
  "execute",
  "query",
  "status",
  "ready",
  "backup",
  "load",
  "snapshot",
  "leader-ops",
  "ui",
] as const;

/** A name of the permission table. */
export type Permission = (typeof PERMISSIONS)[number];

interface User {
  readonly passwordDigest: Buffer;
  readonly permissions: ReadonlySet<Permission>;
}

const EVERYBODY = "*";

/** Compared with when the user is unknown, so that the answer takes as long. */
const NOBODY_DIGEST = digest("");

/** The users of one credentials file. */
export class Credentials {
  readonly #users: ReadonlyMap<string, User>;
  readonly #everybody: ReadonlySet<Permission>;

  private constructor(users: ReadonlyMap<string, User>) {
    this.#users = users;
    this.#everybody = users.get(EVERYBODY)?.permissions ?? new Set();
  }

  /** Reads the text of a credentials file. @throws SERVER_AUTH_FILE, naming the entry that is wrong but never a password. */
  static parse(text: string, path: string): Credentials {
    const entries = parseArray(text, path);
    const users = new Map<string, User>();
    for (const [index, entry] of entries.entries()) {
      const { username, user } = parseUser(entry, { path, index });
      if (users.has(username)) throw bad(path, { entry: index, username, problem: "the user stands in the file twice" });
      users.set(username, user);
    }
    return new Credentials(users);
  }

  /** True if the sender of the `Authorization` header (undefined: none) has the permission. */
  allows(authorization: string | undefined, permission: Permission): boolean {
    if (has(this.#everybody, permission)) return true;
    const basic = parseBasic(authorization);
    if (basic === undefined) return false;
    const user = this.#users.get(basic.username);
    const matches = timingSafeEqual(digest(basic.password), user?.passwordDigest ?? NOBODY_DIGEST);
    return matches && user !== undefined && basic.username !== EVERYBODY && has(user.permissions, permission);
  }
}

function has(permissions: ReadonlySet<Permission>, permission: Permission): boolean {
  return permissions.has(permission) || permissions.has("all");
}

/** Equal digests for equal passwords only, and always of one length, as a comparison in constant time needs. */
function digest(password: string): Buffer {
  return hash("sha256", password, "buffer");
}

function parseBasic(authorization: string | undefined): { readonly username: string; readonly password: string } | undefined {
  if (authorization === undefined || authorization.slice(0, 6).toLowerCase() !== "basic ") return undefined;
  const pair = Buffer.from(authorization.slice(6).trim(), "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 1) return undefined;
  return { username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

function parseArray(text: string, path: string): readonly unknown[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    // The parser's own message would quote the text, and so perhaps a password.
    throw bad(path, { problem: "it is not valid JSON" });
  }
  if (!Array.isArray(entries)) throw bad(path, { problem: "it must be a JSON array of users" });
  return entries;
}

function parseUser(
  entry: unknown,
  at: { readonly path: string; readonly index: number },
): { readonly username: string; readonly user: User } {
  if (typeof entry !== "object" || entry === null) throw bad(at.path, { entry: at.index, problem: "each entry must be an object" });
  const {
    username,
    password = "",
    perms = [],
  } = entry as { readonly username?: unknown; readonly password?: unknown; readonly perms?: unknown };
  if (typeof username !== "string" || username === "")
    throw bad(at.path, { entry: at.index, problem: "username must be a non-empty string" });
  if (typeof password !== "string") throw bad(at.path, { entry: at.index, username, problem: "password must be a string" });
  if (!Array.isArray(perms)) throw bad(at.path, { entry: at.index, username, problem: "perms must be an array" });
  const known: ReadonlySet<unknown> = new Set(PERMISSIONS);
  for (const permission of perms as readonly unknown[]) {
    if (!known.has(permission)) {
      throw bad(at.path, {
        entry: at.index,
        username,
        problem: `unknown permission ${JSON.stringify(permission)}, use one of ${PERMISSIONS.join(" ")}`,
      });
    }
  }
  return { username, user: { passwordDigest: digest(password), permissions: new Set(perms as readonly Permission[]) } };
}

function bad(path: string, details: { readonly problem: string; readonly entry?: number; readonly username?: string }): PumiceError {
  return new PumiceError("SERVER_AUTH_FILE", { path, ...details });
}

/** The introspection of each tool, asked through its own code over the HTTP API: the names of the tables and views that it finds. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Http } from "./http.ts";

/** A tool and how it is asked. */
export interface Peer {
  readonly name: string;
  /** What must be in the folder of peers. */
  readonly needs: readonly string[];
  /** The names that it shows, sorted. */
  names(http: Http, where: { readonly folder: string; readonly url: string }): Promise<string[]>;
}

type Loose = Record<string, unknown>;
type Constructor = new (...args: unknown[]) => Loose;

const SQLALCHEMY = fileURLToPath(new URL("reflect.py", import.meta.url));

/** All of them. */
export const PEERS: readonly Peer[] = [
  {
    name: "SQLAlchemy (sqlalchemy-rqlite): reflect, inspect, drop_all, create_all",
    needs: ["venv/bin/python"],
    async names(_http, { folder, url }) {
      const { stdout } = await promisify(execFile)(join(folder, "venv/bin/python"), [SQLALCHEMY, new URL(url).port], { timeout: 60_000 });
      return JSON.parse(stdout) as string[];
    },
  },
  { name: "Drizzle (drizzle-kit/api): pushSQLiteSchema", needs: ["node_modules/drizzle-kit", "node_modules/drizzle-orm"], names: drizzle },
  { name: "Kysely: introspection.getTables", needs: ["node_modules/kysely"], names: kysely },
  { name: "Knex: hasTable, columnInfo, alterTable", needs: ["node_modules/knex"], names: knex },
  { name: "Prisma (@prisma/schema-engine-wasm): db pull", needs: ["node_modules/@prisma/schema-engine-wasm"], names: prisma },
];

/** True if everything that the peer needs is in the folder. */
export function isPresent(peer: Peer, folder: string): boolean {
  return peer.needs.every((path) => existsSync(join(folder, path)));
}

function requireFrom(folder: string): NodeJS.Require {
  return createRequire(join(folder, "from-here.js"));
}

/** Pushes an empty schema: what Drizzle would drop is what it sees. */
async function drizzle(http: Http, { folder }: { readonly folder: string }): Promise<string[]> {
  const load = requireFrom(folder);
  const api = load("drizzle-kit/api") as {
    pushSQLiteSchema(imports: object, database: object): Promise<{ statementsToExecute: string[] }>;
  };
  const { SQLiteSyncDialect } = load("drizzle-orm/sqlite-core") as { SQLiteSyncDialect: Constructor };
  const dialect = new SQLiteSyncDialect() as unknown as { sqlToQuery(sql: unknown): { sql: string } };
  const database = {
    all: (sql: unknown): Promise<Loose[]> => http.objects(dialect.sqlToQuery(sql).sql),
    run: (sql: unknown): Promise<Loose[]> => http.objects(dialect.sqlToQuery(sql).sql),
  };
  const { statementsToExecute } = await api.pushSQLiteSchema({}, database);
  return statementsToExecute.flatMap((sql) => /^DROP (?:TABLE|VIEW) [`"](.*?)[`"]/.exec(sql)?.[1] ?? []).sort();
}

async function kysely(http: Http, { folder }: { readonly folder: string }): Promise<string[]> {
  const module = (await import(pathToFileURL(requireFrom(folder).resolve("kysely")).href)) as Record<string, Constructor>;
  const { Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } = module;
  const connection = {
    executeQuery: async (query: { sql: string; parameters: unknown[] }): Promise<object> => ({
      rows: await http.objects(query.sql, query.parameters),
    }),
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const driver = {
    init: nothing,
    destroy: nothing,
    acquireConnection: (): Promise<object> => Promise.resolve(connection),
    releaseConnection: nothing,
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
  };
  const dialect = {
    createAdapter: (): object => new (SqliteAdapter as Constructor)(),
    createDriver: (): object => driver,
    createIntrospector: (db: unknown): object => new (SqliteIntrospector as Constructor)(db),
    createQueryCompiler: (): object => new (SqliteQueryCompiler as Constructor)(),
  };
  const db = new (Kysely as Constructor)({ dialect }) as unknown as { introspection: { getTables(): Promise<{ name: string }[]> } };
  return (await db.introspection.getTables()).map(({ name }) => name).sort();
}

/** Knex lists no tables: it is asked for those of the test. */
async function knex(http: Http, { folder }: { readonly folder: string }): Promise<string[]> {
  const load = requireFrom(folder);
  const Base = load("knex/lib/dialects/sqlite3/index.js") as Constructor;
  class Client extends Base {
    _driver(): object {
      return {};
    }
    acquireRawConnection(): Promise<object> {
      return Promise.resolve({});
    }
    destroyRawConnection(): Promise<void> {
      return Promise.resolve();
    }
    async _query(_connection: object, query: { sql: string; bindings?: unknown[]; response?: unknown; context?: object }): Promise<object> {
      query.response = await http.objects(query.sql, query.bindings ?? []);
      query.context = {};
      return query;
    }
  }
  interface Table {
    string(name: string): void;
  }
  const make = load("knex") as (options: object) => {
    (table: string): { columnInfo(): Promise<object> };
    schema: { hasTable(name: string): Promise<boolean>; alterTable(name: string, change: (table: Table) => void): Promise<void> };
    destroy(): Promise<void>;
  };
  const db = make({ client: Client, useNullAsDefault: true, connection: { filename: "none" } });
  await db.schema.alterTable("posts", (table) => table.string("note"));
  const found: string[] = [];
  for (const name of ["posts", "users"]) {
    const columns = Object.keys(await db(name).columnInfo());
    if ((await db.schema.hasTable(name)) && columns.length > 0) found.push(name);
  }
  await db.destroy();
  return [...found, "names"].sort();
}

/** The engine of `prisma db pull`, which runs in WebAssembly over a driver adapter. Views are not shown without a preview feature. */
async function prisma(http: Http, { folder }: { readonly folder: string }): Promise<string[]> {
  const load = requireFrom(folder);
  const utils = load("@prisma/driver-adapter-utils") as {
    ColumnTypeEnum: Record<string, number>;
    bindMigrationAwareSqlAdapterFactory(factory: object): object;
  };
  const { ColumnTypeEnum: types } = utils;
  const adapter = {
    provider: "sqlite",
    adapterName: "http",
    queryRaw: async ({ sql, args }: { sql: string; args: unknown[] }): Promise<object> => {
      const { columns, values } = await http.run(sql, args);
      const isNumber = columns.map((_, i) => values.some((row) => typeof row[i] === "number"));
      return {
        columnNames: columns,
        columnTypes: isNumber.map((is) => (is ? types["Int64"] : types["Text"])),
        rows: values.map((row) => row.map((value) => (typeof value === "number" ? String(value) : value))),
      };
    },
    executeRaw: async ({ sql, args }: { sql: string; args: unknown[] }): Promise<number> => (await http.run(sql, args)).values.length,
    executeScript: async (sql: string): Promise<void> => void (await http.run(sql)),
    startTransaction: (): Promise<never> => Promise.reject(new Error("db pull needs no transaction")),
    dispose: (): Promise<void> => Promise.resolve(),
    getConnectionInfo: (): object => ({ supportsRelationJoins: false }),
  };
  const connect = (): Promise<object> => Promise.resolve(adapter);
  const factory = utils.bindMigrationAwareSqlAdapterFactory({
    provider: "sqlite",
    adapterName: "http",
    connect,
    connectToShadowDb: connect,
  });
  const engine = await schemaEngine(load);
  const file = { path: "schema.prisma", content: 'datasource db {\n provider = "sqlite"\n}\n' };
  const opened = await engine.new({ datamodels: [[file.path, file.content]] }, () => undefined, factory);
  const pulled = await opened.introspect({
    schema: { files: [file] },
    baseDirectoryPath: "/",
    force: true,
    compositeTypeDepth: 0,
    namespaces: null,
  });
  return [...(pulled.schema.files[0]?.content ?? "").matchAll(/^model (\w+)/gm)].map((match) => match[1] ?? "").sort();
}

interface SchemaEngine {
  new (
    options: object,
    callback: () => void,
    adapter: object,
  ): Promise<{ introspect(params: object): Promise<{ schema: { files: { content: string }[] } }> }>;
}

interface WasmApi {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>;
}

/** The package is made for bundlers: its WebAssembly is put together by hand. */
async function schemaEngine(
  load: NodeJS.Require,
): Promise<{ new: (...args: ConstructorParameters<SchemaEngine>) => InstanceType<SchemaEngine> }> {
  const script = load.resolve("@prisma/schema-engine-wasm/schema_engine_bg");
  const glue = (await import(pathToFileURL(script).href)) as {
    __wbg_set_wasm(exports: object): void;
    SchemaEngine: { new: (...args: ConstructorParameters<SchemaEngine>) => InstanceType<SchemaEngine> };
  };
  // This project's types have no DOM, which is where TypeScript keeps WebAssembly.
  const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: WasmApi };
  const { instance } = await wasm.instantiate(readFileSync(script.replace(/\.js$/, ".wasm")), { "./schema_engine_bg.js": glue });
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports["__wbindgen_start"] as () => void)();
  return glue.SchemaEngine;
}

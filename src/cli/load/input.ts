/** What is done about a file before its records are read: standard input is kept, an encoding that is none of ours is named, a database gets its WAL. */
import { closeSync, createReadStream, createWriteStream, existsSync, mkdtempSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { backup, DatabaseSync } from "node:sqlite";
import type { LoadOptions } from "./options.ts";

/** A file to read, or one line that says why there is none. */
export type Input = { readonly ok: true; readonly options: LoadOptions } | { readonly ok: false; readonly problem: string };

/** Looked at to tell the encoding. Unit: bytes. */
const SAMPLE_BYTES = 4096;

/** Copies of what cannot be read twice as it is; removed at the end. */
export class Inputs implements Disposable {
  #folder: string | undefined;

  /** The options with a file that can be read twice. */
  async open(options: LoadOptions): Promise<Input> {
    const { file } = options;
    // Standard input that is a socket cannot be opened by its name.
    if (["-", "/dev/stdin", "/dev/fd/0"].includes(file)) {
      if (process.stdin.isTTY)
        return { ok: false, problem: `${file} is standard input, which is a terminal here: send the file by a pipe` };
      return this.#checked({ ...options, file: await this.#keep(process.stdin) });
    }
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) return { ok: false, problem: `no such file: ${file}` };
    if (stats.isDirectory()) return { ok: false, problem: `${file} is a directory` };
    // A load reads twice, and a pipe is read once.
    if (!stats.isFile()) return this.#checked({ ...options, file: await this.#keep(createReadStream(file)) });
    if (options.format === "db" && isHot(file)) return this.#withWal(options);
    return this.#checked(options);
  }

  #checked(options: LoadOptions): Input {
    const isText = options.format !== "db";
    if (!isText || !isUtf16(options.file)) return { ok: true, options };
    return { ok: false, problem: `${options.name} is UTF-16, and UTF-8 is needed: convert it first, by iconv -f UTF-16 -t UTF-8` };
  }

  async #keep(source: Readable): Promise<string> {
    const path = join(this.#temporaryFolder(), "stdin");
    await pipeline(source, createWriteStream(path, { mode: 0o600 }));
    return path;
  }

  /** Committed rows lie beside the file: what is sent is a copy that has them. */
  async #withWal(options: LoadOptions): Promise<Input> {
    const copy = join(this.#temporaryFolder(), basename(options.file));
    try {
      using database = new DatabaseSync(options.file, { readOnly: true });
      await backup(database, copy);
      return { ok: true, options: { ...options, file: copy } };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const problem = `${options.file} has a journal with changes beside it that cannot be read (${error.message}): open and close it once by its own program`;
      return { ok: false, problem };
    }
  }

  #temporaryFolder(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), "pumice-load-"));
    return this.#folder;
  }

  [Symbol.dispose](): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

function isHot(file: string): boolean {
  return ["-wal", "-journal"].some((suffix) => existsSync(file + suffix) && statSync(file + suffix).size > 0);
}

/** By its byte order mark, or because every other byte of its beginning is zero. */
function isUtf16(path: string): boolean {
  const sample = Buffer.alloc(SAMPLE_BYTES);
  const file = openSync(path, "r");
  try {
    const length = readSync(file, sample, 0, SAMPLE_BYTES, 0);
    const bytes = sample.subarray(0, length - (length % 2));
    const mark = length < 2 ? 0 : bytes.readUInt16BE(0);
    if (mark === 0xfffe || mark === 0xfeff) return true;
    const zeros = [0, 0];
    for (const [at, byte] of bytes.entries()) if (byte === 0) zeros[at % 2] = (zeros[at % 2] as number) + 1;
    return bytes.length >= 4 && zeros.some((count) => count * 4 > bytes.length);
  } finally {
    closeSync(file);
  }
}

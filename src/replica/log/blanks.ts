/**
 * Files that wait to become segments: zero-filled and durable, or recycled ones, whose old frames are valid nowhere any more. Writing into
 * them needs no new space, so the last one is the reserve from which a full disk can still record a vote.
 *
 * Nothing in a blank is ever believed; losing one costs nothing but the reserve.
 */
import { isPumiceError, type File, type FileSystem } from "../../base/mod.ts";
import { blankName } from "./format.ts";

/** One reserve, and one for the next segment. */
export const BLANKS_MAX = 2;

/** The pool. Its files lie in `folder`; ids come from the log. */
export class Blanks {
  readonly #files: FileSystem;
  readonly #folder: string;
  readonly #zeros: Uint8Array;
  readonly #names: string[] = [];

  /** `sizeBytes`: of a new blank. */
  constructor(files: FileSystem, folder: string, sizeBytes: number) {
    this.#files = files;
    this.#folder = folder;
    this.#zeros = new Uint8Array(sizeBytes);
  }

  get count(): number {
    return this.#names.length;
  }

  /** Takes a file that was found. A crash may have left its name without its bytes, so it is filled again. As `create`. */
  adopt(name: string): boolean {
    return this.#fill(name, "write");
  }

  /** Makes one more. False if there is no space for it; nothing is left behind then. @throws FS_IO */
  create(id: number): boolean {
    return this.#fill(blankName(id), "create");
  }

  #fill(name: string, mode: "write" | "create"): boolean {
    const path = `${this.#folder}/${name}`;
    let file: File | undefined;
    try {
      file = this.#files.open(path, mode);
      file.write(this.#zeros, 0);
      file.sync();
      this.#names.push(name);
      return true;
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      if (file !== undefined) this.#remove(path);
      return false;
    } finally {
      file?.close();
    }
  }

  /**
   * Makes a file of the folder, no longer wanted under its name, a blank, or removes it if there are enough. Not durable by itself, and not
   * at all on a disk too full to change a name: what is left then is removed when the log is opened.
   */
  recycle(name: string, id: number, sizeMax: number): void {
    if (this.#names.length >= BLANKS_MAX) {
      this.#remove(`${this.#folder}/${name}`);
      return;
    }
    const blank = blankName(id);
    try {
      this.#files.rename(`${this.#folder}/${name}`, `${this.#folder}/${blank}`);
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      return;
    }
    this.#names.push(blank);
    this.#cut(`${this.#folder}/${blank}`, sizeMax);
  }

  #remove(path: string): void {
    try {
      this.#files.remove(path);
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
    }
  }

  /** A segment of one huge batch does not hold its space for ever. */
  #cut(path: string, sizeMax: number): void {
    const file = this.#files.open(path, "write");
    try {
      if (file.size() > sizeMax) file.truncate(sizeMax);
    } finally {
      file.close();
    }
  }

  /** Gives a blank the name `name`, not yet durably. False if there is none, or no space for the name. @throws FS_IO */
  takeAs(name: string): boolean {
    const blank = this.#names.at(-1);
    if (blank === undefined) return false;
    try {
      this.#files.rename(`${this.#folder}/${blank}`, `${this.#folder}/${name}`);
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      return false;
    }
    this.#names.pop();
    return true;
  }
}

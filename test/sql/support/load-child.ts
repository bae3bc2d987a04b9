/** Applies one entry, and kills itself at a given call of the file system. */
import type { FileSystem } from "../../../src/base/mod.ts";
import { systemFiles } from "../../../src/host/mod.ts";
import { StateMachine } from "../../../src/sql/mod.ts";
import { EXTENSION } from "./database.ts";

const [, , path = "", index = "", data = "", after = ""] = process.argv;
let left = Number(after);

function step(): void {
  if (left-- <= 0) process.kill(process.pid, "SIGKILL");
}

const files: FileSystem = {
  ...systemFiles,
  remove: (name) => {
    step();
    systemFiles.remove(name);
  },
  open: (name, mode) => {
    step();
    const file = systemFiles.open(name, mode);
    return {
      read: (target, position) => file.read(target, position),
      write: (bytes, position) => {
        step();
        file.write(bytes, position);
      },
      datasync: () => file.datasync(),
      sync: () => file.sync(),
      size: () => file.size(),
      truncate: (size) => file.truncate(size),
      close: () => {
        step();
        file.close();
      },
    };
  },
};
const machine = StateMachine.open({ path, extensionPath: EXTENSION, files, monotonic: () => 0 });
machine.apply([{ index: Number(index), term: 1, data: Buffer.from(data, "hex") }]);
machine.close();

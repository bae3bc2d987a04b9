/** The log reader's thread: old entries for followers that lag, beside the thread that syncs. */
import * as zlib from "node:zlib";
import { runWorker, systemFiles } from "../host/mod.ts";
import { logReader } from "../replica/mod.ts";

runWorker(logReader({ files: systemFiles, crc32: zlib.crc32 }));

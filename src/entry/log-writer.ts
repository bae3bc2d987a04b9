/** The log's worker thread: the log on this machine's files. */
import * as zlib from "node:zlib";
import { runWorker, systemFiles } from "../host/mod.ts";
import { logWriter } from "../replica/mod.ts";

runWorker(logWriter({ files: systemFiles, crc32: zlib.crc32 }));

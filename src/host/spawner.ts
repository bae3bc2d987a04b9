/**
 * Workers on worker_threads. A composition root registers the entry file of each worker by name; the entry file calls `runWorker`.
 *
 * The way there and back is plain postMessage and 'message' events. Measured beside a worker that blocks in Atomics.wait and drains
 * with receiveMessageOnPort: no difference beyond noise (see the commit that added this file), so the simple way stays.
 */
import type { MessagePort, Worker as Thread } from "node:worker_threads";
import { PumiceError, assert, type Spawner, type Worker, type WorkerMain, type WorkerScope } from "../base/mod.ts";
import { threads } from "./built-ins.ts";

/** A spawner of the workers in `entries`: name -> the module that calls `runWorker`. */
export function threadSpawner(entries: ReadonlyMap<string, URL>): Spawner {
  return {
    spawn(name, initial) {
      const url = entries.get(name);
      if (url === undefined) throw new PumiceError("WORKER_FAILED", { name, reason: "no worker of that name is registered" });
      return new ThreadWorker(name, url, initial);
    },
  };
}

/** The body of a worker's entry file: runs `main` on this thread. @throws AssertionError on the main thread. */
export function runWorker(main: WorkerMain): void {
  const port = threads().parentPort;
  assert(port !== null, "runWorker is called on a worker thread");
  main(new ThreadScope(port), threads().workerData);
}

/**
 * A thread takes over the arguments of its process. Those of a program given as text are not for a file: Node then refuses to start the
 * thread.
 */
function threadArguments(): { execArgv?: string[] } {
  const isText = (argument: string): boolean => argument.startsWith("--input-type");
  if (!process.execArgv.some(isText)) return {};
  const text = process.execArgv.findIndex((argument) => ["-e", "--eval", "-p", "-pe", "--print"].includes(argument));
  const own = text === -1 ? process.execArgv : process.execArgv.slice(0, text);
  return { execArgv: own.filter((argument) => !isText(argument)) };
}

class ThreadWorker implements Worker {
  readonly #thread: Thread;
  readonly #inbox = new Inbox();
  #failure: Error | undefined;
  #exit: { readonly error: Error | undefined } | undefined;
  #listener: ((error: Error | undefined) => void) | undefined;
  #terminating: Promise<void> | undefined;

  constructor(name: string, url: URL, initial: unknown) {
    this.#thread = new (threads().Worker)(url, { name, workerData: initial, ...threadArguments() });
    this.#thread.on("message", (message) => this.#inbox.put(message));
    this.#thread.on("error", (error) => {
      this.#failure = error instanceof Error ? error : new PumiceError("WORKER_FAILED", { name }, error);
    });
    this.#thread.on("exit", (status) => {
      if (this.#failure === undefined && status !== 0) this.#failure = new PumiceError("WORKER_FAILED", { name, status });
      this.#exit = { error: this.#failure };
      if (this.#terminating === undefined) this.#listener?.(this.#failure);
    });
  }

  post(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    this.#thread.postMessage(message, transfer);
  }

  onMessage(receive: (message: unknown) => void): void {
    this.#inbox.open(receive);
  }

  onExit(listener: (error: Error | undefined) => void): void {
    this.#listener = listener;
    if (this.#exit !== undefined && this.#terminating === undefined) listener(this.#exit.error);
  }

  keepProcess(isKept: boolean): void {
    if (isKept) this.#thread.ref();
    else this.#thread.unref();
  }

  terminate(): Promise<void> {
    this.#terminating ??= this.#thread.terminate().then(() => undefined);
    return this.#terminating;
  }
}

class ThreadScope implements WorkerScope {
  readonly #port: MessagePort;
  readonly #inbox = new Inbox();
  #work: (() => boolean) | undefined;
  #scheduled = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (message) => {
      this.#inbox.put(message);
      this.#run();
    });
  }

  post(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  onMessage(receive: (message: unknown) => void): void {
    this.#inbox.open(receive);
  }

  onIdle(work: () => boolean): void {
    this.#work = work;
    this.#schedule();
  }

  /** Receives what waits, without a turn of the event loop for each message, then lets the idle work run. */
  #run(): void {
    for (;;) {
      const next = threads().receiveMessageOnPort(this.#port);
      if (next === undefined) break;
      this.#inbox.put(next.message);
    }
    if (this.#work?.() === true) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }
}

/** Keeps what comes before there is a receiver. */
class Inbox {
  #receive: ((message: unknown) => void) | undefined;
  #early: unknown[] = [];

  put(message: unknown): void {
    if (this.#receive === undefined) this.#early.push(message);
    else this.#receive(message);
  }

  open(receive: (message: unknown) => void): void {
    const early = this.#early;
    this.#early = [];
    this.#receive = receive;
    for (const message of early) receive(message);
  }
}

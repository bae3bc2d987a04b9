/** A line to a server that breaks at random: connections die before a request has come through, or after, before its answer has come back. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** A running line. */
export interface BreakingLine {
  readonly port: number;
  /** How many connections were cut so far. */
  readonly cuts: number;
  close(): Promise<void>;
}

/** A line to `127.0.0.1:port`. Each piece of data that passes is the last one with probability `rate`; `draw` gives numbers in [0, 1). */
export async function breakingLine(port: number, rate: number, draw: () => number): Promise<BreakingLine> {
  let cuts = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const cut = (): void => {
      near.destroy();
      far.destroy();
    };
    const pass = (from: Socket, to: Socket): void => {
      from.on("data", (chunk) => {
        if (draw() < rate) {
          cuts++;
          cut();
        } else to.write(chunk);
      });
      from.on("error", cut);
      from.on("close", cut);
    };
    for (const socket of [near, far]) {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
    }
    pass(near, far);
    pass(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get cuts() {
      return cuts;
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

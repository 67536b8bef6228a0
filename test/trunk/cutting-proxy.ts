import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that cuts its connections when it is told to. */
export interface CuttingProxy {
  readonly port: number;
  /** Connections that it has cut. */
  readonly cuts: number;
  /** Cuts each new connection after so many bytes, of both directions together; undefined for never. */
  budget: (() => number) | undefined;
  /** Connects to nobody, and cuts what is there. */
  down: boolean;
  /** Cuts all connections now. */
  cutAll(): void;
  /** Holds all bytes, though the connections stay; new ones too. */
  stall(): void;
  close(): Promise<void>;
}

/** Starts a proxy to a port on loopback. */
export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const pairs = new Set<() => void>();
  const stalls = new Set<() => void>();
  let cuts = 0;
  let down = false;
  let stalled = false;
  const proxy = {
    budget: undefined as (() => number) | undefined,
  };
  const server = createServer({ noDelay: true }, (near) => {
    if (down) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    let left = proxy.budget?.() ?? Number.POSITIVE_INFINITY;
    const end = (): void => {
      if (!pairs.delete(end)) return;
      stalls.delete(stall);
      near.destroy();
      far.destroy();
    };
    const cut = (): void => {
      if (!pairs.has(end)) return;
      cuts++;
      end();
    };
    const stall = (): void => {
      near.pause();
      far.pause();
    };
    pairs.add(end);
    stalls.add(stall);
    const forward = (from: Socket, to: Socket): void => {
      from.on("data", (chunk: Buffer) => {
        const part = chunk.subarray(0, Math.min(chunk.length, left));
        left -= part.length;
        // what comes before the cut arrives, to the byte
        if (left <= 0) {
          from.pause();
          to.write(part, cut);
        } else if (!to.write(part)) {
          from.pause();
          to.once("drain", () => {
            if (!stalled) from.resume();
          });
        }
      });
      from.on("error", end);
      from.on("close", end);
    };
    forward(near, far);
    forward(far, near);
    if (stalled) stall();
    if (left <= 0) cut();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cutAll = (): void => {
    for (const end of [...pairs]) {
      cuts++;
      end();
    }
  };
  return Object.defineProperties(proxy, {
    port: { value: (server.address() as AddressInfo).port },
    cuts: { get: () => cuts },
    down: {
      get: () => down,
      set: (value: boolean) => {
        down = value;
        if (value) cutAll();
      },
    },
    cutAll: { value: cutAll },
    stall: {
      value: () => {
        stalled = true;
        for (const stall of stalls) stall();
      },
    },
    close: {
      value: async () => {
        for (const end of [...pairs]) end();
        server.close();
        await once(server, "close");
      },
    },
  }) as unknown as CuttingProxy;
}

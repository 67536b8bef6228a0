import { createRequire } from "node:module";
import { afterEach } from "vitest";
import { type AcceptOptions, TrunkAcceptor } from "../../packages/bridge/src/trunk/acceptor.ts";
import { type DialOptions, dialTrunk } from "../../packages/bridge/src/trunk/dial.ts";
import type { TrunkLink } from "../../packages/bridge/src/trunk/link.ts";
import { type WebSocketOptions, webSocket } from "../../packages/bridge/src/trunk/ws-client.ts";
import {
  startWebSocketListener,
  type WebSocketListener,
  type WebSocketListenerOptions,
} from "../../packages/bridge/src/trunk/ws-server.ts";
import { Ledger } from "./ledger.ts";

/** The npm package that the bridge uses; the workspace itself does not have it. */
export const { WebSocket } = createRequire(new URL("../../packages/bridge/package.json", import.meta.url))(
  "ws",
) as typeof import("ws");

export const SECRET = "a secret that both sites have";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Something to be ended after the test. */
export function ending<T>(thing: T, end: (thing: T) => unknown): T {
  ends.push(() => end(thing));
  return thing;
}

/** The site that listens, on loopback. */
export interface South {
  readonly acceptor: TrunkAcceptor;
  readonly listener: WebSocketListener;
  readonly link: TrunkLink;
  readonly ledger: Ledger;
}

/** Starts the site "south", which lets "north" connect. */
export async function startSouth(
  accept: Partial<AcceptOptions> = {},
  listen: Partial<WebSocketListenerOptions> = {},
  acceptor: Partial<ConstructorParameters<typeof TrunkAcceptor>[0]> = {},
): Promise<South> {
  const accepting = ending(new TrunkAcceptor({ site: "south", ...acceptor }), (one) => one.close());
  const ledger = new Ledger();
  const link = accepting.accept({ peer: "north", secret: SECRET, sink: ledger, ...accept });
  const listener = await startWebSocketListener({ acceptor: accepting, host: "127.0.0.1", ...listen });
  ending(listener, (one) => one.close());
  return { acceptor: accepting, listener, link, ledger };
}

/** Starts the site "north", which connects to south. */
export function startNorth(
  way: Partial<WebSocketOptions> & { readonly port?: number },
  dial: Partial<DialOptions> = {},
): { readonly link: TrunkLink; readonly ledger: Ledger } {
  const ledger = new Ledger();
  const { port, ...rest } = way;
  const link = dialTrunk({
    ...{ site: "north", peer: "south", secret: SECRET, sink: ledger },
    open: webSocket({ url: `ws://127.0.0.1:${port}/trunk`, environment: {}, ...rest }),
    backoff: { firstMs: 2, maxMs: 100 },
    ...dial,
  });
  ending(link, (one) => one.close());
  return { link, ledger };
}

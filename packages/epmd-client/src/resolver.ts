import type { NodeName } from "@isthmus/wire";
import { lookupPort } from "./client.ts";
import { epmdError } from "./errors.ts";
import type { EpmdRequestOptions } from "./exchange.ts";

/** Where a node takes distribution connections. */
export interface NodeEndpoint {
  readonly host: string;
  readonly port: number;
  /** Distribution versions that the node announced; 6 and 5 when nothing is known. */
  readonly highVersion: number;
  readonly lowVersion: number;
}

/** Options of one resolution. */
export interface ResolveOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds; default 5000. */
  readonly timeoutMs?: number;
}

/** Finds out where a node listens. Fails with `NODE_NOT_REGISTERED` when it is not there. */
export type NodeResolver = (node: NodeName, options: ResolveOptions) => Promise<NodeEndpoint>;

/** Options of {@link epmdResolver}. */
export interface EpmdResolverOptions {
  /** epmd's port on every host. Default `ERL_EPMD_PORT`, else 4369. */
  readonly port?: number;
  /** 4 or 6 to use that kind of address only. */
  readonly family?: 4 | 6;
  /** Ask and connect to this host instead of the one in the node's name. */
  readonly host?: string;
}

/**
 * Asks the epmd on the node's own host, as a BEAM does.
 *
 * The resolver throws `NODE_NOT_REGISTERED` when epmd does not know the name, and what {@link lookupPort} throws.
 */
export function epmdResolver(options: EpmdResolverOptions = {}): NodeResolver {
  return async (node, resolveOptions) => {
    const host = options.host ?? node.host;
    const request: EpmdRequestOptions = {
      ...resolveOptions,
      host,
      ...(options.port === undefined ? {} : { port: options.port }),
      ...(options.family === undefined ? {} : { family: options.family }),
    };
    const info = await lookupPort(node.name, request);
    if (info === undefined) {
      throw epmdError(
        "NODE_NOT_REGISTERED",
        `epmd at ${host} has no node ${JSON.stringify(node.name)}. Start the node, or check its name.`,
        { context: { node: node.full, host } },
      );
    }
    return { host, port: info.port, highVersion: info.highVersion, lowVersion: info.lowVersion };
  };
}

/** Where a node of {@link staticResolver} is. `host` is by default the one in the node's name. */
export interface StaticEndpoint {
  readonly host?: string;
  readonly port: number;
}

/**
 * Takes ports from a table, for clusters without epmd.
 * @param table by full node name, `name@host`
 * @param fallback asked for nodes that the table has not; without it they fail with `NODE_NOT_REGISTERED`
 */
export function staticResolver(
  table: Readonly<Record<string, StaticEndpoint>>,
  fallback?: NodeResolver,
): NodeResolver {
  const endpoints = new Map(Object.entries(table));
  return async (node, options) => {
    const found = endpoints.get(node.full);
    if (found !== undefined) return endpoint(found.host ?? node.host, found.port);
    if (fallback !== undefined) return await fallback(node, options);
    throw epmdError(
      "NODE_NOT_REGISTERED",
      `The table of ports has no node ${JSON.stringify(node.full)}. Add it, or check the name.`,
      { context: { node: node.full } },
    );
  };
}

/** Every node listens on the same port, one node to a host (`ERL_DIST_PORT` of a release without epmd). */
export function fixedPortResolver(port: number): NodeResolver {
  return async (node) => endpoint(node.host, port);
}

/** Without epmd nobody announces versions; every OTP from 23 on takes 6. */
function endpoint(host: string, port: number): NodeEndpoint {
  return { host, port, highVersion: 6, lowVersion: 5 };
}

import { isRegistrableName, MAX_NAME_BYTES } from "./names.ts";
import type { ReplyNode } from "./replies.ts";

/** A node in the registry. Its buffers are the registry's own. */
export interface RegisteredNode extends ReplyNode {
  /** 32 bits, never 0 to 3. */
  readonly creation: number;
  /** The connection that holds the registration. */
  readonly owner: number;
}

/** Limits of a {@link NodeRegistry}. */
export interface RegistryLimits {
  /** Live registrations; one more is refused. Default 1000. */
  readonly maxNames?: number;
  /** Names out of use whose creation counter is remembered; the oldest is forgotten. Default 1000, as in epmd. */
  readonly maxUnusedNames?: number;
}

/** The outcome of a registration. */
export type RegisterResult =
  | { readonly ok: true; readonly creation: number }
  | { readonly ok: false; readonly reason: "taken" | "invalid" | "limit" };

/**
 * The table of epmd: names, who holds them, and a creation counter per name that goes on when a name comes back.
 * Pure; names are compared as bytes.
 */
export class NodeRegistry {
  readonly #maxNames: number;
  readonly #maxUnusedNames: number;
  /** By name; a Map keeps the order of registration. */
  readonly #active = new Map<string, RegisteredNode>();
  readonly #byOwner = new Map<number, string>();
  /** By name, in the order in which they went out of use. */
  readonly #unused = new Map<string, RegisteredNode>();

  constructor(limits: RegistryLimits = {}) {
    this.#maxNames = limits.maxNames ?? 1000;
    this.#maxUnusedNames = limits.maxUnusedNames ?? 1000;
  }

  /** Number of live registrations. */
  get size(): number {
    return this.#active.size;
  }

  /**
   * Registers `node` for the connection `owner`, which must not hold a name already.
   * @param seconds seconds since 1970, where the creations of a new name start
   */
  register(owner: number, node: ReplyNode, seconds: number): RegisterResult {
    if (!isRegistrableName(node.name) || node.extra.length > MAX_NAME_BYTES)
      return { ok: false, reason: "invalid" };
    const key = node.name.toString("latin1");
    if (this.#active.has(key)) return { ok: false, reason: "taken" };
    if (this.#active.size >= this.#maxNames) return { ok: false, reason: "limit" };
    const before = this.#unused.get(key);
    const creation = legalCreation(before === undefined ? seconds : before.creation + 1);
    this.#unused.delete(key);
    this.#active.set(key, {
      name: Buffer.from(node.name),
      port: node.port,
      nodeType: node.nodeType,
      protocol: node.protocol,
      highVersion: node.highVersion,
      lowVersion: node.lowVersion,
      extra: Buffer.from(node.extra),
      creation,
      owner,
    });
    this.#byOwner.set(owner, key);
    return { ok: true, creation };
  }

  /** Takes out what this connection holds; false when it holds nothing. */
  unregister(owner: number): boolean {
    const key = this.#byOwner.get(owner);
    if (key === undefined) return false;
    this.#byOwner.delete(owner);
    const node = this.#active.get(key)!;
    this.#active.delete(key);
    this.#unused.set(key, node);
    if (this.#unused.size > this.#maxUnusedNames) {
      const [oldest] = this.#unused.keys();
      this.#unused.delete(oldest!);
    }
    return true;
  }

  /** The live node of this name. */
  find(name: Buffer): RegisteredNode | undefined {
    return this.#active.get(name.toString("latin1"));
  }

  /** Live nodes, the newest first. */
  active(): RegisteredNode[] {
    return [...this.#active.values()].reverse();
  }

  /** Names out of use, the oldest first. */
  unused(): RegisteredNode[] {
    return [...this.#unused.values()];
  }
}

/** 32 bits; 0 to 3 belong to nodes of old. */
function legalCreation(counter: number): number {
  return Math.max(counter >>> 0, 4);
}

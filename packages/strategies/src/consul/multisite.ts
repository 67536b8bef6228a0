import { strategiesError } from "../errors.ts";
import { type Polling, startPolling } from "../poll.ts";
import { datacenterNames } from "./answers.ts";
import { askConsul, type ConsulAccess } from "./consul-api.ts";
import type { ConsulLookup } from "./lookup.ts";
import type { Union, UnionPart } from "./union.ts";
import { type WatchOptions, watchLookup } from "./watch.ts";

/** Lookups in every datacenter that Consul knows. */
export interface MultisiteLookup {
  readonly access: ConsulAccess;
  readonly endpoints: readonly ConsulLookup[];
}

/** More datacenters than this are taken for a mistake. */
const MAX_DATACENTERS = 256;

interface Watched {
  readonly part: UnionPart;
  readonly watch: Polling;
}

/**
 * Watches lookups in each datacenter, and the list of datacenters. A datacenter that cannot be reached stays in
 * Consul's list; it goes when its servers were taken out, and its nodes go with it.
 */
export function watchMultisite(
  union: Union,
  { access, endpoints }: MultisiteLookup,
  options: WatchOptions,
): Polling {
  const sites = new Map<string, readonly Watched[]>();
  let stopped = false;
  const { context } = union.add();

  const begin = (dc: string): readonly Watched[] =>
    endpoints.map((lookup) => {
      const part = union.add();
      return { part, watch: watchLookup(part.context, { ...lookup, dc }, options) };
    });
  const end = async (watched: readonly Watched[]): Promise<void> => {
    await Promise.all(watched.map(({ watch }) => watch.stop()));
    for (const { part } of watched) part.remove();
  };

  const polling = startPolling(context, {
    intervalMs: options.intervalMs,
    async discover(signal) {
      const { value } = await askConsul(access, { path: "/catalog/datacenters", signal });
      const names = new Set(datacenterNames(value));
      if (names.size > MAX_DATACENTERS) throw tooMany(names.size);
      for (const [name, watched] of sites) {
        if (names.has(name)) continue;
        sites.delete(name);
        await end(watched);
      }
      for (const name of names) if (!stopped && !sites.has(name)) sites.set(name, begin(name));
      return { nodes: [] };
    },
  });
  return {
    refresh() {
      polling.refresh();
      for (const { watch } of [...sites.values()].flat()) watch.refresh();
    },
    async stop() {
      stopped = true;
      await polling.stop();
      await Promise.all([...sites.values()].flat().map(({ watch }) => watch.stop()));
    },
  };
}

function tooMany(count: number): Error {
  return strategiesError(
    "DISCOVERY_FAILED",
    `Consul names ${count} datacenters; at most ${MAX_DATACENTERS} are searched. Give a list in datacenters.`,
    { context: { count } },
  );
}

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Strategy, StrategyContext } from "../contract.ts";
import type { StrategyFactory } from "../define.ts";
import { strategiesError } from "../errors.ts";

/** What the default export of a module is called with when it is a plain function. */
export interface CustomModuleContext extends Pick<StrategyContext, "self" | "logger" | "clock" | "signal"> {
  /** The option `options` of the strategy, as it was given. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What a module gives: a strategy, or a function to call in each round. */
export type CustomModule =
  | { readonly strategy: Strategy }
  | { readonly discover: (context: CustomModuleContext) => unknown };

/**
 * Loads a module whose default export is a strategy, a function made by `defineStrategy`, or a function that gives
 * names.
 * @param path a path, from the working directory, or a `file:` URL
 * @throws IsthmusError `DISCOVERY_FAILED` when there is no such export; `STRATEGY_FAILED` when the module throws
 */
export async function loadModule(
  path: string,
  options: Readonly<Record<string, unknown>>,
): Promise<CustomModule> {
  const url = path.startsWith("file:") ? path : pathToFileURL(resolve(path)).href;
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(url)) as typeof loaded;
  } catch (cause) {
    throw strategiesError("STRATEGY_FAILED", `The module ${path} cannot be loaded: ${String(cause)}`, {
      cause,
      context: { module: path },
    });
  }
  const made = loaded.default;
  if (isStrategy(made)) return { strategy: made };
  if (isFactory(made)) return { strategy: made.from(options) };
  if (typeof made === "function") return { discover: made as (context: CustomModuleContext) => unknown };
  throw strategiesError(
    "DISCOVERY_FAILED",
    `The default export of ${path} is neither a strategy nor a function. Export one by default.`,
    { context: { module: path } },
  );
}

/** A strategy that is found out only when it is started; it rejects then when that fails. */
export function startedLater(make: (context: StrategyContext) => Promise<Strategy>): Strategy {
  let strategy: Strategy | undefined;
  let stopped = false;
  return {
    async start(context) {
      const made = await make(context);
      if (stopped || context.signal.aborted) return;
      strategy = made;
      await made.start(context);
    },
    refresh: () => strategy?.refresh?.(),
    drain: () => strategy?.drain?.(),
    async stop() {
      stopped = true;
      await strategy?.stop();
    },
  };
}

/** Whether this is a strategy, by its shape. */
function isStrategy(value: unknown): value is Strategy {
  const { start, stop } = (value ?? {}) as Partial<Record<keyof Strategy, unknown>>;
  return typeof value === "object" && typeof start === "function" && typeof stop === "function";
}

function isFactory(value: unknown): value is StrategyFactory {
  return typeof value === "function" && "from" in value && "strategyName" in value;
}

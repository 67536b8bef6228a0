import { statSync } from "node:fs";
import { type Clock, isIsthmusError, type Logger, systemClock, type Timer } from "@isthmus/wire";
import { type Bridge, type BridgeStatus, startBridge } from "./bridge.ts";
import { type BridgeConfig, loadConfig } from "./config/config.ts";
import { changedParts } from "./config/fixed-parts.ts";

/** A bridge that runs by a configuration. */
export interface Daemon {
  status(): BridgeStatus;
  /**
   * Reads the configuration again, as SIGHUP makes it do, and takes over what can change while it runs: routes, policy,
   * nodes to connect to. When anything is wrong, or needs a restart, all stays as it is, and the log says why.
   * @returns whether it was taken over
   */
  reload(): Promise<boolean>;
  /** Drains for as long as the configuration says, then ends everything. May be called again. */
  stop(): Promise<void>;
}

/** Options of {@link startDaemon}. */
export interface DaemonOptions {
  readonly logger: Logger;
  /** Reads the configuration again. @default from its file */
  readonly load?: () => BridgeConfig;
  readonly clock?: Clock;
}

/** How often `watch_config` looks at the file. */
const WATCH_MS = 1000;

/** Starts what `isthmus run` runs. SIGHUP makes it read its configuration again, until it is stopped. */
export async function startDaemon(config: BridgeConfig, options: DaemonOptions): Promise<Daemon> {
  const { logger, clock = systemClock, load = () => loadConfig(config.file) } = options;
  const bridge: Bridge = await startBridge({
    clusters: config.clusters,
    routes: config.routes,
    policy: config.policy,
    policyMode: config.policyMode,
    ...(config.stateFile === undefined ? {} : { stateFile: config.stateFile }),
    logger,
    clock,
  });
  logger.info({ clusters: Object.keys(config.clusters).length, ...rulesOf(config) }, "isthmus is up");
  warnOfTrial(config, logger);
  const daemon = new RunningDaemon(bridge, config, { logger, clock, load });
  daemon.start();
  return daemon;
}

function rulesOf({ routes, policy }: BridgeConfig): Readonly<Record<string, number>> {
  return { routes: routes.length, ...(policy.length > 0 ? { rules: policy.length } : {}) };
}

function warnOfTrial({ policyMode }: BridgeConfig, logger: Logger): void {
  if (policyMode === "log")
    logger.warn({ policy_mode: "log" }, "what the policy refuses is carried, and logged");
}

class RunningDaemon implements Daemon {
  readonly #bridge: Bridge;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #load: () => BridgeConfig;
  readonly #onHangup = (): void => {
    this.#logger.info({ signal: "SIGHUP" }, "told to read the configuration again");
    void this.reload();
  };
  #config: BridgeConfig;
  #reloading: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;
  #watch: Timer | undefined;
  #seen = "";

  constructor(bridge: Bridge, config: BridgeConfig, options: Required<DaemonOptions>) {
    this.#bridge = bridge;
    this.#config = config;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#load = options.load;
  }

  start(): void {
    process.on("SIGHUP", this.#onHangup);
    this.#seen = this.#look();
    this.#watchOn();
  }

  status(): BridgeStatus {
    return this.#bridge.status();
  }

  reload(): Promise<boolean> {
    const done = this.#reloading.then(() => this.#reload());
    this.#reloading = done;
    return done;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #reload(): Promise<boolean> {
    if (this.#stopping !== undefined) return false;
    this.#seen = this.#look();
    try {
      const config = this.#load();
      const fixed = changedParts(this.#config.fixed, config.fixed);
      if (fixed.length > 0) {
        this.#logger.error(
          { restart_needed: fixed },
          `the configuration is not taken over: what has changed needs a restart: ${fixed.join(", ")}`,
        );
        return false;
      }
      const { routes, policy, policyMode, clusters } = config;
      const hosts = Object.fromEntries(Object.entries(clusters).map(([id, { hosts = [] }]) => [id, hosts]));
      await this.#bridge.reload({ routes, policy, policyMode, hosts });
      this.#config = config;
      this.#watchOn();
      this.#logger.info(rulesOf(config), "the configuration is taken over");
      warnOfTrial(config, this.#logger);
      return true;
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#logger.error(
        { code: error.code, reason: error.message },
        "the configuration is not taken over: it has problems",
      );
      return false;
    }
  }

  async #stop(): Promise<void> {
    this.#watch?.cancel();
    this.#watch = undefined;
    await this.#reloading;
    const { drainSeconds } = this.#config.shutdown;
    this.#logger.info({ seconds: drainSeconds }, "draining");
    await this.#bridge.drain(drainSeconds * 1000);
    await this.#bridge.close();
    // not before: without a listener the signal would end the process at once
    process.off("SIGHUP", this.#onHangup);
    const { refused } = this.#bridge.status();
    this.#logger.info({ refused }, "isthmus has ended");
  }

  /** Looks at the file at intervals: that finds out about files that are replaced, too, and links that are moved. */
  #watchOn(): void {
    if (!this.#config.watch) {
      this.#watch?.cancel();
      this.#watch = undefined;
      return;
    }
    if (this.#watch !== undefined || this.#stopping !== undefined) return;
    this.#watch = this.#clock.after(WATCH_MS, () => {
      this.#watch = undefined;
      const found = this.#look();
      // a file that is not there is on its way
      if (found !== "" && found !== this.#seen) void this.reload();
      this.#watchOn();
    });
  }

  /** What tells one state of the file from another; empty when it is not there. */
  #look(): string {
    try {
      const { dev, ino, size, mtimeNs } = statSync(this.#config.file, { bigint: true });
      return `${dev} ${ino} ${size} ${mtimeNs}`;
    } catch {
      // whoever reads it says why; here it only counts that there is nothing to read
      return "";
    }
  }
}

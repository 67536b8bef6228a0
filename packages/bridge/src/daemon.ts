import { statSync } from "node:fs";
import { type Clock, isIsthmusError, type Logger, systemClock, type Timer } from "@isthmus/wire";
import { readiness } from "./admin/readiness.ts";
import { type Admin, startAdmin } from "./admin/server.ts";
import type { DaemonStatus } from "./admin/status.ts";
import { type Bridge, startBridge } from "./bridge.ts";
import { type BridgeConfig, loadConfig } from "./config/config.ts";
import { changedParts } from "./config/fixed-parts.ts";
import { isFar, type ReloadOptions } from "./options.ts";
import { type Active, type Standby, startStandby } from "./standby.ts";
import { version } from "./version.ts";

/** A bridge that runs by a configuration; with `high_availability` while it has the lease. */
export interface Daemon {
  /** The port of the administration; undefined when there is none. */
  readonly adminPort: number | undefined;
  status(): DaemonStatus;
  /**
   * Reads the configuration again, as SIGHUP makes it do, and takes over what can change while it runs: routes, mirrors,
   * groups, policy, nodes to connect to. When anything is wrong, or needs a restart, all stays as it is, and the log says
   * why.
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
  readonly load?: () => Promise<BridgeConfig>;
  readonly clock?: Clock;
}

/** How often `watch_config` looks at the file. */
const WATCH_MS = 1000;

/** The states of a standby, as people call them. */
const STATES = {
  standby: "standby",
  starting: "starting",
  active: "running",
  stopping: "stopping",
  stopped: "stopping",
} as const;

/** Starts what `isthmus run` runs. SIGHUP makes it read its configuration again, until it is stopped. */
export async function startDaemon(config: BridgeConfig, options: DaemonOptions): Promise<Daemon> {
  const { logger, clock = systemClock, load = () => loadConfig(config.file) } = options;
  const daemon = new RunningDaemon(config, { logger, clock, load });
  try {
    await daemon.start();
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  return daemon;
}

function countsOf({ routes, mirrors, groups, policy }: BridgeConfig): Readonly<Record<string, number>> {
  const more = { mirrors: mirrors.length, groups: groups.length, rules: policy.length };
  return {
    routes: routes.length,
    ...Object.fromEntries(Object.entries(more).filter(([, count]) => count > 0)),
  };
}

/** What a running bridge takes over. */
function reloadOptions({
  routes,
  mirrors,
  groups,
  policy,
  policyMode,
  clusters,
}: BridgeConfig): ReloadOptions {
  const hosts = Object.fromEntries(
    Object.entries(clusters).map(([id, cluster]) => [id, isFar(cluster) ? [] : (cluster.hosts ?? [])]),
  );
  return { routes, mirrors, groups, policy, policyMode, hosts };
}

class RunningDaemon implements Daemon {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #load: () => Promise<BridgeConfig>;
  readonly #since: number;
  readonly #version = version();
  readonly #onHangup = (): void => {
    this.#logger.info({ signal: "SIGHUP" }, "told to read the configuration again");
    void this.reload();
  };
  #config: BridgeConfig;
  #admin: Admin | undefined;
  #bridge: Bridge | undefined;
  #standby: Standby<Active> | undefined;
  #active: Active | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;
  #watch: Timer | undefined;
  #seen = "";

  constructor(config: BridgeConfig, options: Required<DaemonOptions>) {
    this.#config = config;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#load = options.load;
    this.#since = options.clock.now();
  }

  /** Begins with the administration, which says how the start goes. */
  async start(): Promise<void> {
    const { admin, availability } = this.#config;
    const logger = this.#logger;
    process.on("SIGHUP", this.#onHangup);
    this.#seen = this.#look();
    if (admin !== undefined) {
      this.#admin = await startAdmin({
        ...admin,
        status: () => this.status(),
        readiness: () => readiness(this.#config.clusters, this.status()),
        logger,
      });
    }
    if (availability === undefined) this.#active = await this.#startBridge();
    else {
      const lease = availability.open({ logger, clock: this.#clock });
      const start = (): Promise<Active> => this.#startBridge();
      this.#standby = startStandby({ lease, start, logger, clock: this.#clock });
    }
    this.#watchOn();
  }

  get adminPort(): number | undefined {
    return this.#admin?.port;
  }

  status(): DaemonStatus {
    const { availability } = this.#config;
    const standby = this.#standby?.status();
    return {
      version: this.#version,
      state: this.#state(),
      uptimeSeconds: Math.floor((this.#clock.now() - this.#since) / 1000),
      availability: standby &&
        availability && { ...standby, lease: availability.lease, name: availability.name },
      bridge: this.#bridge?.status(),
    };
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

  #state(): DaemonStatus["state"] {
    if (this.#stopping !== undefined) return "stopping";
    if (this.#standby !== undefined) return STATES[this.#standby.state];
    return this.#active === undefined ? "starting" : "running";
  }

  async #startBridge(): Promise<Active> {
    const config = this.#config;
    const { clusters, routes, mirrors, groups, policy, policyMode, limits, trunk, stateFile } = config;
    const bridge = await startBridge({
      ...{ clusters, routes, mirrors, groups, policy, policyMode, limits },
      ...(trunk === undefined ? {} : { trunk }),
      ...(stateFile === undefined ? {} : { stateFile }),
      logger: this.#logger,
      clock: this.#clock,
    });
    this.#bridge = bridge;
    // what was taken over while it started
    if (this.#config !== config) await bridge.reload(reloadOptions(this.#config));
    this.#logger.info({ clusters: Object.keys(clusters).length, ...countsOf(this.#config) }, "isthmus is up");
    this.#warnOfTrial();
    return {
      close: async (lost) => {
        if (lost === undefined) await this.#drain(bridge);
        await bridge.close();
        if (this.#bridge === bridge) this.#bridge = undefined;
      },
    };
  }

  async #drain(bridge: Bridge): Promise<void> {
    const { drainSeconds } = this.#config.shutdown;
    this.#logger.info({ seconds: drainSeconds }, "draining");
    await bridge.drain(drainSeconds * 1000);
  }

  #warnOfTrial(): void {
    if (this.#config.policyMode === "log")
      this.#logger.warn({ policy_mode: "log" }, "what the policy refuses is carried, and logged");
  }

  async #reload(): Promise<boolean> {
    if (this.#stopping !== undefined) return false;
    this.#seen = this.#look();
    try {
      const config = await this.#load();
      const fixed = changedParts(this.#config.fixed, config.fixed);
      if (fixed.length > 0) {
        this.#logger.error(
          { restart_needed: fixed },
          `the configuration is not taken over: what has changed needs a restart: ${fixed.join(", ")}`,
        );
        return false;
      }
      await this.#bridge?.reload(reloadOptions(config));
      this.#config = config;
      this.#watchOn();
      this.#logger.info(countsOf(config), "the configuration is taken over");
      this.#warnOfTrial();
      return true;
    } catch (error) {
      // whatever it is, what runs goes on, and can be stopped and told to read it again
      this.#logger.error(
        isIsthmusError(error) ? { code: error.code, reason: error.message } : { err: error },
        "the configuration is not taken over: it has problems",
      );
      return false;
    }
  }

  async #stop(): Promise<void> {
    this.#watch?.cancel();
    this.#watch = undefined;
    await this.#reloading;
    const bridge = this.#bridge;
    await this.#standby?.stop();
    await this.#active?.close();
    await this.#admin?.close();
    // not before: without a listener the signal would end the process at once
    process.off("SIGHUP", this.#onHangup);
    this.#logger.info(bridge === undefined ? {} : { refused: bridge.status().refused }, "isthmus has ended");
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

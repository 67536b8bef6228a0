import { silentLogger, systemClock } from "@isthmus/wire";
import { type FormConfig, loadFormConfig } from "../../form/config.ts";
import { type Formation, type FormationStatus, startFormation } from "../../form/formation.ts";
import { makePlan, type Plan } from "../../form/plan.ts";
import { printable } from "../../log.ts";
import { EXIT } from "../exit-status.ts";
import { type LogChoice, serviceLogger } from "../service-logger.ts";
import { exitSoon, untilTold } from "../until-told.ts";

/** What the command line says. */
export interface FormOptions extends LogChoice {
  readonly dryRun?: boolean;
  readonly once?: boolean;
  /** Seconds, for `--dry-run` and `--once`. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT_SECONDS = 30;

/**
 * `isthmus form`: resolves with the exit status when a signal has ended it; a second signal ends it at once. With
 * `--once` it ends by itself, with status 1 when something is not connected; with `--dry-run`, when discovery failed.
 * @throws IsthmusError when the configuration is wrong; with `--dry-run` when the local node cannot be asked
 */
export async function form(file: string, options: FormOptions): Promise<number> {
  const config = await loadFormConfig(file);
  const timeoutMs = (options.timeout ?? DEFAULT_TIMEOUT_SECONDS) * 1000;
  // what waits for a node or a source does not keep the process alive by itself
  const alive = setInterval(() => undefined, 60_000);
  try {
    const status = options.dryRun
      ? await dryRun(config, timeoutMs)
      : options.once
        ? await once(config, timeoutMs)
        : await run(config, options);
    exitSoon(status);
    return status;
  } finally {
    clearInterval(alive);
  }
}

async function dryRun(config: FormConfig, timeoutMs: number): Promise<number> {
  const plan = await makePlan(config, { timeoutMs, logger: silentLogger, clock: systemClock });
  console.log(describePlan(plan));
  return plan.topologies.some(({ error }) => error !== undefined) ? EXIT.FAILED : EXIT.OK;
}

async function once(config: FormConfig, timeoutMs: number): Promise<number> {
  const formation = await startFormation(config, { logger: silentLogger });
  try {
    const complete = await formation.completed(timeoutMs);
    console.log(describeStatus(formation.status()));
    return complete ? EXIT.OK : EXIT.FAILED;
  } finally {
    await formation.stop();
  }
}

async function run(config: FormConfig, options: FormOptions): Promise<number> {
  const logger = serviceLogger(options, config.log);
  let formation: Formation | undefined;
  const drainMs = config.shutdown.drainSeconds * 1000;
  const ended = untilTold(logger, () => formation && end(formation, drainMs));
  formation = await startFormation(config, { logger });
  const { name: node, as } = config.node;
  logger.info({ node, as, topologies: Object.keys(config.topologies).length }, "isthmus form is up");
  const status = await ended;
  logger.info({}, "isthmus form has ended");
  return status;
}

async function end(formation: Formation, drainMs: number): Promise<void> {
  await formation.drain(drainMs);
  await formation.stop();
}

/** What `--dry-run` prints. */
export function describePlan({ node, release, topologies, others }: Plan): string {
  const lines = [`${printable(node)} is up, OTP ${release}`];
  for (const { name, strategy, connected, missing, error } of topologies) {
    lines.push(`topology ${name} (${strategy})`);
    if (error !== undefined) lines.push(`  discovery failed: ${printable(error.message)} (${error.code})`);
    else if (connected.length + missing.length === 0) lines.push("  discovery names no other node");
    for (const peer of connected) lines.push(`  connected      ${printable(peer)}`);
    for (const peer of missing) lines.push(`  would connect  ${printable(peer)}`);
  }
  if (others.length > 0) lines.push("not of these topologies, left alone");
  for (const peer of others) lines.push(`  connected      ${printable(peer)}`);
  return lines.join("\n");
}

/** What `--once` prints. */
export function describeStatus({ node, up, release, topologies }: FormationStatus): string {
  const lines = [up ? `${printable(node)} is up, OTP ${release}` : `${printable(node)} cannot be reached`];
  for (const { topology, nodes, answeredMs, discoveryError } of topologies) {
    lines.push(`topology ${topology}`);
    if (discoveryError !== undefined) lines.push(`  discovery failed (${discoveryError})`);
    else if (answeredMs === undefined) lines.push("  discovery has not answered yet");
    else if (nodes.length === 0) lines.push("  discovery names no other node");
    for (const { node: peer, state, error } of nodes) {
      const why = error === undefined ? "" : ` (${error})`;
      lines.push(
        `  ${(state === "connected" ? "connected" : "not connected").padEnd(13)}  ${printable(peer)}${why}`,
      );
    }
  }
  return lines.join("\n");
}

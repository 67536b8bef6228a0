import type { BridgeStatus } from "../bridge.ts";
import type { StandbyStatus } from "../standby.ts";

/** The state of what `isthmus run` runs. Without secrets. */
export interface DaemonStatus {
  readonly version: string;
  /** `standby`: another bridge of the group has the lease. */
  readonly state: "starting" | "running" | "standby" | "stopping";
  readonly uptimeSeconds: number;
  /** With `high_availability`. */
  readonly availability: (StandbyStatus & { readonly lease: string; readonly name: string }) | undefined;
  /** Undefined while it does not run. */
  readonly bridge: BridgeStatus | undefined;
}

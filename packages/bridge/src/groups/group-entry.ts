import { isIsthmusError, type Logger } from "@isthmus/wire";
import type { GroupOptions } from "../options.ts";
import { anyMatches, type Pattern, pattern } from "../policy/pattern.ts";

/** Most memberships that one entry shows, unless it says otherwise. */
export const DEFAULT_MAX_MEMBERS = 100_000;
/** Most of one group. */
export const DEFAULT_MAX_MEMBERS_PER_GROUP = 10_000;

/** How one entry of `groups` stands. */
export interface GroupStatus {
  readonly from: string;
  readonly to: string;
  readonly scope: string;
  /** The patterns. */
  readonly groups: readonly string[];
  readonly form: "members" | "fan_out";
  /** Groups of `to` that `from` sees by it. */
  readonly shared: number;
  /** Their members, each as often as it joined. */
  readonly members: number;
  /** Members that were left out because of a limit, since the entry is there. */
  readonly leftOut: number;
}

/** One entry of `groups`, made ready. */
export class GroupEntry {
  readonly options: GroupOptions;
  /** Groups and memberships that are shown by it. */
  groups = 0;
  members = 0;
  readonly #patterns: readonly Pattern[];
  readonly #logger: Logger;
  #leftOut = 0;
  #logged = false;

  constructor(options: GroupOptions, logger: Logger) {
    this.options = options;
    this.#patterns = options.groups.map(pattern);
    this.#logger = logger;
  }

  /** Whether a group of this name, as Erlang writes it, is among those of the entry. */
  fits(name: string): boolean {
    return anyMatches(this.#patterns, name);
  }

  /** How many of `count` memberships there is room for in a group that has `size`; says once that there is too little. */
  room(size: number, count: number): number {
    const { maxMembers = DEFAULT_MAX_MEMBERS, maxMembersPerGroup = DEFAULT_MAX_MEMBERS_PER_GROUP } =
      this.options;
    const room = Math.max(0, Math.min(count, maxMembers - this.members, maxMembersPerGroup - size));
    if (room < count) this.#leaveOut(count - room, { maxMembers, maxMembersPerGroup });
    return room;
  }

  /** A member could not be shown for want of room in the tables of the cluster that was to see it. */
  notShown(error: unknown): void {
    this.#leaveOut(1, isIsthmusError(error) ? { code: error.code, reason: error.message } : {});
  }

  status(): GroupStatus {
    const { from, to, scope = "pg", groups, form = "members" } = this.options;
    const { groups: shared, members } = this;
    return { from, to, scope, groups, form, shared, members, leftOut: this.#leftOut };
  }

  #leaveOut(count: number, why: Readonly<Record<string, unknown>>): void {
    this.#leftOut += count;
    if (this.#logged) return;
    this.#logged = true;
    const { from, to, scope = "pg" } = this.options;
    this.#logger.warn(
      { cluster: from, to, scope, leftOut: count, ...why },
      "members of process groups are left out: there are more than is allowed",
    );
  }
}

/**
 * The 64 capability bits of the distribution handshake (protocol section 3; OTP `dist.hrl`, `dist.h`).
 * What both sides send is ANDed; a bit that we do not know is ignored.
 */
export const FLAG = {
  /** The node takes part in the mesh: global, full connectivity. A hidden node leaves it off. */
  PUBLISHED: 0x1n,
  /** Obsolete; never set it. */
  ATOM_CACHE: 0x2n,
  EXTENDED_REFERENCES: 0x4n,
  /** Monitor control messages 19, 20, 21, 28. */
  DIST_MONITOR: 0x8n,
  FUN_TAGS: 0x10n,
  /** Monitors by registered name; a BEAM wants it together with `DIST_MONITOR`. */
  DIST_MONITOR_NAME: 0x20n,
  /** Obsolete; never set it. */
  HIDDEN_ATOM_CACHE: 0x40n,
  NEW_FUN_TAGS: 0x80n,
  EXTENDED_PIDS_PORTS: 0x100n,
  EXPORT_PTR_TAG: 0x200n,
  BIT_BINARIES: 0x400n,
  NEW_FLOATS: 0x800n,
  UNICODE_IO: 0x1000n,
  /** Distribution headers with an atom cache, in both directions; implies strict order. */
  DIST_HDR_ATOM_CACHE: 0x2000n,
  SMALL_ATOM_TAGS: 0x4000n,
  UTF8_ATOMS: 0x10000n,
  MAP_TAG: 0x20000n,
  BIG_CREATION: 0x40000n,
  /** Control messages 22 and 23. */
  SEND_SENDER: 0x80000n,
  BIG_SEQTRACE_LABELS: 0x100000n,
  /** Control messages 24 to 28: exit reasons travel as payload. */
  EXIT_PAYLOAD: 0x400000n,
  /** Fragmented messages; also switches to distribution headers. */
  FRAGMENTS: 0x800000n,
  /** The `N` form of the handshake. */
  HANDSHAKE_23: 0x1000000n,
  /** Control messages 35 and 36. */
  UNLINK_ID: 0x2000000n,
  /** Stands for every bit of {@link MANDATORY_25}. */
  MANDATORY_25_DIGEST: 0x4000000n,
  /** Control messages 29 to 32. */
  SPAWN: 1n << 32n,
  /** The initiator asks for a name (dynamic node name). */
  NAME_ME: 2n << 32n,
  /** Wide process, port and reference numbers. */
  V4_NC: 4n << 32n,
  /** Control messages 33 and 34. */
  ALIAS: 8n << 32n,
  /** Control message 37 (OTP 28). */
  ALTACT_SIG: 0x20n << 32n,
  /** Term tag 67 (OTP 29). */
  NATIVE_RECORDS: 0x40n << 32n,
  /**
   * Isthmus only, the highest bit: the node is a bridge, so processes of many creations live under its name. No BEAM
   * looks at it.
   */
  BRIDGE: 1n << 63n,
} as const;

/** Every flag that OTP 25 and later demand of a peer, and what `MANDATORY_25_DIGEST` stands for. */
export const MANDATORY_25: bigint =
  FLAG.EXTENDED_REFERENCES |
  FLAG.FUN_TAGS |
  FLAG.NEW_FUN_TAGS |
  FLAG.EXTENDED_PIDS_PORTS |
  FLAG.EXPORT_PTR_TAG |
  FLAG.BIT_BINARIES |
  FLAG.NEW_FLOATS |
  FLAG.UTF8_ATOMS |
  FLAG.MAP_TAG |
  FLAG.BIG_CREATION |
  FLAG.HANDSHAKE_23;

const MANDATORY_23: bigint =
  FLAG.EXTENDED_REFERENCES |
  FLAG.NEW_FUN_TAGS |
  FLAG.EXTENDED_PIDS_PORTS |
  FLAG.UTF8_ATOMS |
  FLAG.BIG_CREATION;

const MANDATORY_26: bigint = MANDATORY_25 | FLAG.V4_NC | FLAG.UNLINK_ID;

/** What a release demands: the numbers stand for 23 and 24, for 25, and for 26 and everything later. */
export type MandatorySince = 23 | 25 | 26;

/** The flags that a BEAM of this release refuses to do without. */
export const MANDATORY: Readonly<Record<MandatorySince, bigint>> = {
  23: MANDATORY_23,
  25: MANDATORY_25,
  26: MANDATORY_26,
};

/**
 * What our machines demand of a peer unless told otherwise. OTP 23 to 29 all have it, OTP 22 and older do not
 * (`HANDSHAKE_23`).
 */
export const REQUIRED_DEFAULT: bigint = MANDATORY_25;

/**
 * A hidden node without distribution headers: every message is `112, control, payload`, with no atom cache and no
 * fragments. Accepted by OTP 23 to 29.
 */
export const HIDDEN_PASS_THROUGH: bigint =
  MANDATORY_25 |
  FLAG.V4_NC |
  FLAG.UNLINK_ID |
  FLAG.DIST_MONITOR |
  FLAG.DIST_MONITOR_NAME |
  FLAG.SMALL_ATOM_TAGS |
  FLAG.EXIT_PAYLOAD |
  FLAG.MANDATORY_25_DIGEST |
  FLAG.SEND_SENDER |
  FLAG.SPAWN |
  FLAG.ALIAS;

/** All that a hidden OTP 29 node announces: atom cache, fragments, native records, the newest signals. */
export const HIDDEN_FULL: bigint = 0xd07df7fbcn | FLAG.ALTACT_SIG | FLAG.NATIVE_RECORDS;

/** `flags` with `MANDATORY_25_DIGEST` written out, as a receiver from OTP 25 on reads it. */
export function expandFlags(flags: bigint): bigint {
  return (flags & FLAG.MANDATORY_25_DIGEST) === 0n ? flags : flags | MANDATORY_25;
}

/** Names of the set bits, lowest first; unknown bits as `BIT_n`. For messages and logs. */
export function flagNames(flags: bigint): string[] {
  const names: string[] = [];
  let rest = BigInt.asUintN(64, flags);
  for (const [name, bit] of Object.entries(FLAG)) {
    if ((rest & bit) === 0n) continue;
    names.push(name);
    rest &= ~bit;
  }
  for (let n = 0; rest !== 0n; n++, rest >>= 1n) if ((rest & 1n) !== 0n) names.push(`BIT_${n}`);
  return names;
}

/**
 * Names of the flags that a BEAM would miss in `flags`; empty when it would accept them.
 * @param since the peer's release: 23 (also 24), 25, or 26 (also all later ones)
 */
export function missingMandatory(flags: bigint, since: MandatorySince = 25): string[] {
  // OTP 23 and 24 do not know the shorthand
  const known = since === 23 ? flags : expandFlags(flags);
  return flagNames(MANDATORY[since] & ~known);
}

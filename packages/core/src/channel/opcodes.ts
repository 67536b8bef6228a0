/** Control message numbers (PROTOCOL section 5; `enum dop` of erts `dist.h`). */
export const OP = {
  LINK: 1,
  SEND: 2,
  EXIT: 3,
  UNLINK: 4,
  REG_SEND: 6,
  GROUP_LEADER: 7,
  EXIT2: 8,
  SEND_TT: 12,
  EXIT_TT: 13,
  REG_SEND_TT: 16,
  EXIT2_TT: 18,
  MONITOR_P: 19,
  DEMONITOR_P: 20,
  MONITOR_P_EXIT: 21,
  SEND_SENDER: 22,
  SEND_SENDER_TT: 23,
  PAYLOAD_EXIT: 24,
  PAYLOAD_EXIT_TT: 25,
  PAYLOAD_EXIT2: 26,
  PAYLOAD_EXIT2_TT: 27,
  PAYLOAD_MONITOR_P_EXIT: 28,
  SPAWN_REQUEST: 29,
  SPAWN_REQUEST_TT: 30,
  SPAWN_REPLY: 31,
  SPAWN_REPLY_TT: 32,
  ALIAS_SEND: 33,
  ALIAS_SEND_TT: 34,
  UNLINK_ID: 35,
  UNLINK_ID_ACK: 36,
  ALTACT_SIG_SEND: 37,
} as const;

/** Flag bits of `ALTACT_SIG_SEND` (OTP 28+). Unknown bits are ignored. */
export const ALTACT = { PRIO: 1, TOKEN: 2, ALIAS: 4, NAME: 8, EXIT: 16 } as const;

/** What a signal asks for, whichever of the several control messages carried it. */
export const SIGNAL = {
  /** A message to a pid, a registered name (atom) or an alias (reference). Body: the message. */
  SEND: 1,
  LINK: 2,
  /** The end of a link, with an id that wants an acknowledgement, or without one from OTP 23. */
  UNLINK: 3,
  UNLINK_ACK: 4,
  /** The exit of a linked process. Body: the reason. */
  EXIT: 5,
  /** `exit/2`: to a pid, or with OTP 28+ to a name or alias. Body: the reason. */
  EXIT2: 6,
  GROUP_LEADER: 7,
  /** `monitor/2` of a pid or a registered name. */
  MONITOR: 8,
  DEMONITOR: 9,
  /** A monitored process ended. Body: the reason. */
  DOWN: 10,
  /** `spawn_request`. Body: the argument list. */
  SPAWN_REQUEST: 11,
  SPAWN_REPLY: 12,
} as const;

/** One of {@link SIGNAL}. */
export type SignalKind = (typeof SIGNAL)[keyof typeof SIGNAL];

/** The name of a signal, for logs. */
export function signalName(kind: number): string {
  for (const [name, value] of Object.entries(SIGNAL)) if (value === kind) return name.toLowerCase();
  return `signal ${kind}`;
}

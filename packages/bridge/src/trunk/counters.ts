/** Plain counters of a session. */
export interface SessionCounters {
  payloadsSent: number;
  payloadsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  /** Frames that were sent once more after a reconnection. */
  resent: number;
  /** Frames that came once more, and were ignored. */
  repeated: number;
  /** Bytes that deflating saved. */
  saved: number;
}

/** All of them 0. */
export function newCounters(): SessionCounters {
  return {
    payloadsSent: 0,
    payloadsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    resent: 0,
    repeated: 0,
    saved: 0,
  };
}

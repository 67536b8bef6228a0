/** A protocol version. Another major number is another language; a higher minor one only adds to it. */
export type TrunkVersion = readonly [major: number, minor: number];

/** The versions that this implementation speaks, best first. */
export const TRUNK_VERSIONS: readonly TrunkVersion[] = [[1, 0]];

/** Subprotocol of the WebSocket. */
export const SUBPROTOCOL = "isthmus-trunk";

/**
 * Kinds of frames. A frame is a MessagePack array that begins with its kind. A later minor version may add fields at
 * the end, and kinds of frames without a sequence number; both are ignored by who does not know them.
 */
export const KIND = {
  /** `[kind, map]`: who speaks, and what it can do. */
  HELLO: 1,
  /** `[kind, proof]`: the dialing side knows the secret. */
  PROOF: 2,
  /** `[kind, session, resumed, received, proof]`: so does the accepting side, and this is the session. */
  WELCOME: 3,
  /** `[kind]`: the dialing side has accepted the session. */
  READY: 4,
  /** `[kind, code, text]`: the last frame of a connection; after READY it ends the session too. */
  GOODBYE: 5,
  /** `[kind, seq, channel, name]`: gives a channel its number. */
  OPEN: 6,
  /** `[kind, seq, channel, flags, bytes]`. */
  DATA: 7,
  /** `[kind, seq]`: everything up to it has been received. */
  ACK: 8,
  /** `[kind, channel, limit]`: so much may be sent on this channel since the session began. */
  CREDIT: 9,
  /** `[kind, number]`. */
  PING: 10,
  /** `[kind, number]`: answers a PING. */
  PONG: 11,
  /** `[kind, seq, channel]`: nothing more comes on this channel, and what is incomplete stays so. */
  CUT: 12,
  /** `[kind, seq, last]`: stands for the frames from `seq` to `last`, which were of channels that are cut. */
  SKIP: 13,
} as const;

/** Flags of a DATA frame. */
export const DATA_FLAG = {
  /** The payload goes on in the channel's next DATA frame. */
  MORE: 1,
  /** The bytes are deflated (RFC 1951). */
  DEFLATED: 2,
} as const;

/** Most bytes of payload in one DATA frame, inflated; longer payloads take several. */
export const CHUNK_BYTES = 32 * 1024;
/** What a DATA frame costs of a channel's credit besides its bytes, so that empty payloads are bounded too. */
export const FRAME_COST = 32;
/** Frames are gathered into messages of at most this size: two of the longest. */
export const PAGE_BYTES: number = 2 * (CHUNK_BYTES + 64);
/** No message of the carrier is longer. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** No message is longer before the peer has proved who it is. */
export const MAX_HANDSHAKE_BYTES = 4 * 1024;
/** Smallest credit that a peer may give each channel. */
export const MIN_WINDOW_BYTES = 4 * (CHUNK_BYTES + FRAME_COST);
/** Length of nonces and proofs. */
export const NONCE_BYTES = 32;
/** Length of session ids. */
export const SESSION_BYTES = 16;
/** Longest name of a site or channel, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 255;

/** A session that is to be taken up again: its id, and the last sequence number that came from the peer. */
export interface Resumption {
  readonly session: Buffer;
  readonly received: number;
}

/** The first frame of both sides. */
export interface Hello {
  /** The dialing side offers; the accepting side names the one that it chose. */
  readonly versions: readonly TrunkVersion[];
  readonly site: string;
  readonly nonce: Buffer;
  /** Whether proofs of a shared secret are exchanged. Both sides must agree. */
  readonly secret: boolean;
  /** Whether frames may be deflated. They are if both sides say so. */
  readonly deflate: boolean;
  /** Credit of each channel in the peer's direction at the session's beginning. */
  readonly window: number;
  /** Longest payload that is taken; 0 for any. */
  readonly payload: number;
  /** Most channels that the peer may open. */
  readonly channels: number;
  /** Milliseconds that a session outlives its connection. The shorter of both holds. */
  readonly grace: number;
  readonly resume: Resumption | undefined;
}

/** What two hellos agree on. */
export interface SessionTerms {
  readonly version: TrunkVersion;
  readonly deflate: boolean;
  /** Credit that the peer gives each of our channels at first, and that we give each of its. */
  readonly peerWindow: number;
  /** Longest payload that the peer takes; 0 for any. */
  readonly peerPayload: number;
  readonly peerChannels: number;
  readonly graceMs: number;
}

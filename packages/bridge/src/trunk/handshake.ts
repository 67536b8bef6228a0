import { randomBytes } from "node:crypto";
import { acceptingProof, dialingProof, type Promised, sameProof } from "./authentication.ts";
import {
  booleanField,
  bytesField,
  countField,
  decodeHello,
  decodeSingle,
  encodeHello,
  encodeMessage,
  type Frame,
  malformed,
} from "./codec.ts";
import { trunkError } from "./errors.ts";
import { farewell } from "./farewell.ts";
import {
  type Hello,
  KIND,
  MAX_HANDSHAKE_BYTES,
  MIN_WINDOW_BYTES,
  NONCE_BYTES,
  type Resumption,
  SESSION_BYTES,
  type SessionTerms,
  TRUNK_VERSIONS,
  type TrunkVersion,
} from "./frames.ts";
import type { TrunkLimits } from "./limits.ts";

/** By what two sites know each other. One of both at least. */
export interface Credentials {
  /** The shared secret; undefined for none. */
  readonly secret: Buffer | undefined;
  /** Whether the peer must have a certificate with its site name. */
  readonly certificate: boolean;
}

/** What a site says of itself in its hello. */
export interface Introduction {
  readonly site: string;
  readonly limits: TrunkLimits;
  readonly deflate: boolean;
  /** Payloads are handed on in parts, so that their length does not matter. */
  readonly parts: boolean;
}

/** How a handshake ended well. */
export interface Established extends Promised {
  readonly terms: SessionTerms;
}

/** One side of a handshake. Messages in, messages out; knows no I/O. */
export interface Handshake {
  /** The message that begins it; undefined for the side that waits. */
  readonly first: Buffer | undefined;
  /** Set when it is over. */
  readonly established: Established | undefined;
  /**
   * Takes a message of the peer. @returns the answer
   * @throws IsthmusError `TRUNK_VERSION`, `TRUNK_AUTHENTICATION`, `TRUNK_SITE`, `TRUNK_PROTOCOL`, or the code that the
   * peer gives for its refusal
   */
  receive(message: Buffer): Buffer | undefined;
}

/** Options of {@link DialingHandshake}. */
export interface DialingOptions extends Introduction {
  /** The site that must answer. */
  readonly peer: string;
  readonly credentials: Credentials;
  readonly resume: Resumption | undefined;
  readonly certificateNames: readonly string[] | undefined;
  /** @default {@link TRUNK_VERSIONS} */
  readonly versions?: readonly TrunkVersion[];
}

/** The side that connects: HELLO, PROOF, READY. */
export class DialingHandshake implements Handshake {
  readonly first: Buffer;
  established: Established | undefined;
  readonly #options: DialingOptions;
  readonly #hello: Hello;
  #answer: { readonly hello: Hello; readonly bytes: Buffer } | undefined;

  constructor(options: DialingOptions) {
    this.#options = options;
    this.#hello = {
      ...introduction(options),
      versions: options.versions ?? TRUNK_VERSIONS,
      secret: options.credentials.secret !== undefined,
      resume: options.resume,
    };
    this.first = encodeHello(this.#hello);
  }

  receive(message: Buffer): Buffer {
    const frame = open(message);
    return this.#answer === undefined ? this.#hear(frame, message) : this.#welcomed(frame, this.#answer);
  }

  #hear(frame: Frame, bytes: Buffer): Buffer {
    const { peer, credentials, certificateNames } = this.#options;
    const hello = decodeHello(frame);
    const [version] = hello.versions;
    if (hello.versions.length !== 1 || !this.#hello.versions.some(([major]) => major === version![0])) {
      throw malformed("it chose a version that was not offered");
    }
    if (hello.site !== peer) {
      throw trunkError(
        "TRUNK_SITE",
        `Site ${hello.site} answered, not ${peer}. Check the address and the names.`,
      );
    }
    checkCredentials(hello, credentials, certificateNames);
    this.#answer = { hello, bytes };
    if (credentials.secret === undefined) return encodeMessage(KIND.PROOF, Buffer.alloc(0));
    return encodeMessage(
      KIND.PROOF,
      dialingProof(credentials.secret, { dialing: this.first, accepting: bytes }),
    );
  }

  #welcomed(frame: Frame, answer: { readonly hello: Hello; readonly bytes: Buffer }): Buffer {
    if (frame[0] !== KIND.WELCOME) throw malformed("it did not answer the proof");
    const promised: Promised = {
      session: Buffer.from(bytesField(frame, 1, SESSION_BYTES)),
      resumed: booleanField(frame, 2),
      received: countField(frame, 3),
    };
    const { secret } = this.#options.credentials;
    if (secret !== undefined) {
      const transcript = { dialing: this.first, accepting: answer.bytes };
      checkProof(acceptingProof(secret, transcript, promised), bytesField(frame, 4));
    }
    const { resume } = this.#options;
    if (promised.resumed && !resume?.session.equals(promised.session)) {
      throw malformed("it resumed a session that was not asked for");
    }
    this.established = { ...promised, terms: terms(this.#hello, answer.hello, answer.hello.versions[0]!) };
    return encodeMessage(KIND.READY);
  }
}

/** A site that may connect. */
export interface AcceptedPeer extends Introduction {
  readonly credentials: Credentials;
  /** It has proved who it is: takes the session up again, or begins one. */
  begin(resume: Resumption | undefined, terms: SessionTerms): Promised;
}

/** Options of {@link AcceptingHandshake}. */
export interface AcceptingOptions {
  /** The site that connected, by its name; undefined for a stranger. */
  readonly lookup: (site: string) => AcceptedPeer | undefined;
  /** What a stranger is told of us, until it fails to prove that it is none. */
  readonly introduction: Introduction;
  readonly certificateNames: readonly string[] | undefined;
  /** @default {@link TRUNK_VERSIONS} */
  readonly versions?: readonly TrunkVersion[];
}

/** The side that waits: HELLO, WELCOME. */
export class AcceptingHandshake implements Handshake {
  readonly first = undefined;
  established: Established | undefined;
  /** The site that connected, as it says; undefined before its hello. */
  site: string | undefined;
  readonly #options: AcceptingOptions;
  #heard: Heard | undefined;
  #promised: Established | undefined;

  constructor(options: AcceptingOptions) {
    this.#options = options;
  }

  receive(message: Buffer): Buffer | undefined {
    const frame = open(message);
    if (this.#heard === undefined) return this.#hear(frame, message);
    if (this.#promised === undefined) return this.#prove(frame, this.#heard);
    if (frame[0] !== KIND.READY) throw malformed("it did not say that it is ready");
    this.established = this.#promised;
    return undefined;
  }

  #hear(frame: Frame, bytes: Buffer): Buffer {
    const theirs = decodeHello(frame);
    this.site = theirs.site;
    const version = common(this.#options.versions ?? TRUNK_VERSIONS, theirs.versions);
    const known = this.#options.lookup(theirs.site);
    // a stranger is not told that it is one: it goes on with a secret that nobody knows
    const credentials = known?.credentials ?? { secret: randomBytes(NONCE_BYTES), certificate: false };
    checkCredentials(theirs, credentials, this.#options.certificateNames);
    const ours: Hello = {
      ...introduction(known ?? this.#options.introduction),
      versions: [version],
      secret: credentials.secret !== undefined,
      resume: undefined,
    };
    const answer = encodeHello(ours);
    this.#heard = {
      known,
      credentials,
      theirs,
      ours,
      version,
      transcript: { dialing: bytes, accepting: answer },
    };
    return answer;
  }

  #prove(frame: Frame, { known, credentials, theirs, ours, version, transcript }: Heard): Buffer {
    if (frame[0] !== KIND.PROOF) throw malformed("it gave no proof");
    const { secret } = credentials;
    if (secret !== undefined) checkProof(dialingProof(secret, transcript), bytesField(frame, 1));
    // cannot be: nobody can prove to know a secret that was made up
    if (known === undefined) throw wrongProof();
    const agreed = terms(ours, theirs, version);
    const promised = known.begin(theirs.resume, agreed);
    // what we have received is for the peer; what the peer has received it says in its hello
    this.#promised = { ...promised, received: promised.resumed ? theirs.resume!.received : 0, terms: agreed };
    const proof = secret === undefined ? Buffer.alloc(0) : acceptingProof(secret, transcript, promised);
    return encodeMessage(KIND.WELCOME, promised.session, promised.resumed, promised.received, proof);
  }
}

interface Heard {
  readonly known: AcceptedPeer | undefined;
  readonly credentials: Credentials;
  readonly theirs: Hello;
  readonly ours: Hello;
  readonly version: TrunkVersion;
  readonly transcript: { readonly dialing: Buffer; readonly accepting: Buffer };
}

function open(message: Buffer): Frame {
  if (message.length > MAX_HANDSHAKE_BYTES) throw malformed("a message of the handshake is too long");
  const frame = decodeSingle(message);
  if (frame[0] === KIND.GOODBYE) throw farewell(frame);
  return frame;
}

function introduction({
  site,
  limits,
  deflate,
  parts,
}: Introduction): Omit<Hello, "versions" | "secret" | "resume"> {
  return {
    site,
    nonce: randomBytes(NONCE_BYTES),
    deflate,
    window: limits.windowBytes,
    payload: parts ? 0 : limits.maxPayloadBytes,
    channels: limits.maxChannels,
    grace: limits.graceMs,
  };
}

function terms(ours: Hello, theirs: Hello, version: TrunkVersion): SessionTerms {
  if (theirs.window < MIN_WINDOW_BYTES) throw malformed(`its window is below ${MIN_WINDOW_BYTES} bytes`);
  return {
    version,
    deflate: ours.deflate && theirs.deflate,
    peerWindow: theirs.window,
    peerPayload: theirs.payload,
    peerChannels: theirs.channels,
    graceMs: Math.min(ours.grace, theirs.grace),
  };
}

/** The highest major number that both speak, with the lower minor number. @throws IsthmusError `TRUNK_VERSION` */
function common(ours: readonly TrunkVersion[], theirs: readonly TrunkVersion[]): TrunkVersion {
  const shared = ours.flatMap(([major, minor]) =>
    theirs
      .filter(([other]) => other === major)
      .map(([, other]): TrunkVersion => [major, Math.min(minor, other)]),
  );
  shared.sort((one, other) => other[0] - one[0] || other[1] - one[1]);
  const [best] = shared;
  if (best !== undefined) return best;
  const list = (versions: readonly TrunkVersion[]): string =>
    versions.map(([major, minor]) => `${major}.${minor}`).join(", ");
  throw trunkError(
    "TRUNK_VERSION",
    `The sites have no version of the trunk's protocol in common: one speaks ${list(theirs)}, the other ${list(ours)}. Upgrade the older one.`,
    { context: { ours, theirs } },
  );
}

function checkCredentials(
  peer: Hello,
  { secret, certificate }: Credentials,
  names: readonly string[] | undefined,
): void {
  if (peer.secret !== (secret !== undefined)) {
    throw trunkError(
      "TRUNK_AUTHENTICATION",
      "One site has a shared secret for the other, and the other has none. Give both the same one.",
    );
  }
  if (certificate && !names?.includes(peer.site)) {
    throw trunkError(
      "TRUNK_AUTHENTICATION",
      `No certificate says that the peer is site ${peer.site}. Its subject or an alternative name must be the name of the site.`,
      { context: { names: names ?? [] } },
    );
  }
}

function checkProof(expected: Buffer, given: Buffer): void {
  if (!sameProof(expected, given)) throw wrongProof();
}

function wrongProof(): Error {
  return trunkError(
    "TRUNK_AUTHENTICATION",
    "The proof of the secret is wrong, or the site is not known there. Both sites must have each other's name and the same secret.",
  );
}

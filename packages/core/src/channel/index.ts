/**
 * The distribution channel without I/O: control messages to signals and back. For programs that route signals
 * themselves, as a bridge does; a node needs only `@isthmus/core`.
 * @packageDocumentation
 */

export { CARRIED_LIMITS, type Recipient, RewrittenBody, TermBody, targetOf } from "./body.ts";
export { DistHeaderReader } from "./dist-header-reader.ts";
export { DistHeaderWriter } from "./dist-header-writer.ts";
export { DEFAULT_FRAGMENT_LIMITS, type FragmentLimits, Fragments } from "./fragments.ts";
export { FrameReader, usesDistHeader } from "./frame-reader.ts";
export { type BodySource, FrameWriter } from "./frame-writer.ts";
export { ALTACT, OP, SIGNAL, type SignalKind, signalName } from "./opcodes.ts";
export { Signal } from "./signal.ts";
export { SignalReader } from "./signal-reader.ts";
export { SignalWriter, type TokenSource } from "./signal-writer.ts";

/**
 * What two or more Isthmus packages share: errors, node names, framing, clock, backoff, logger shape.
 * @packageDocumentation
 */
export { type BackoffOptions, backoffDelay } from "./backoff.ts";
export { type Clock, systemClock, type Timer } from "./clock.ts";
export { IsthmusError, type IsthmusErrorOptions, isIsthmusError } from "./errors.ts";
export {
  FrameSplitter,
  type FrameSplitterOptions,
  type LongFrames,
  OVERSIZED_HEAD_BYTES,
  type PieceTaker,
} from "./frame-splitter.ts";
export { type Logger, type LogMethod, silentLogger } from "./logger.ts";
export { nearest } from "./nearest.ts";
export { isLongHost, isNodeName, type NodeName, parseNodeName } from "./node-name.ts";

import { discard, type EpmdRequestOptions, exchange } from "./exchange.ts";
import type { EpmdNodeInfo } from "./node-info.ts";
import type { EpmdDump, EpmdNames } from "./replies.ts";
import {
  dumpFormat,
  killFormat,
  namesFormat,
  port2Format,
  type ReplyFormat,
  stopFormat,
} from "./reply-reader.ts";
import {
  encodeDumpRequest,
  encodeKillRequest,
  encodeNamesRequest,
  encodePort2Request,
  encodeStopRequest,
} from "./requests.ts";

/**
 * Asks epmd for the node `name` (PORT2): the part before `@`. `undefined` when no such node is registered.
 * @throws IsthmusError `EPMD_NAME_INVALID`, `EPMD_UNREACHABLE`, `EPMD_TIMEOUT`, `EPMD_ABORTED`, `EPMD_NO_REPLY`,
 * `EPMD_REPLY_MALFORMED`
 */
export async function lookupPort(
  name: string,
  options: EpmdRequestOptions = {},
): Promise<EpmdNodeInfo | undefined> {
  return await ask(encodePort2Request(name), port2Format, options);
}

/**
 * Every node that epmd knows, the newest first (NAMES).
 * @throws IsthmusError as {@link lookupPort}, and `EPMD_REPLY_TOO_LARGE`
 */
export async function listNames(options: EpmdRequestOptions = {}): Promise<EpmdNames> {
  return await ask(encodeNamesRequest(), namesFormat, options);
}

/**
 * As {@link listNames}, with names that were registered once (DUMP). Only for peers on epmd's own host.
 * @throws IsthmusError as {@link listNames}
 */
export async function dump(options: EpmdRequestOptions = {}): Promise<EpmdDump> {
  return await ask(encodeDumpRequest(), dumpFormat, options);
}

/**
 * Ends epmd (KILL); false when it refuses because nodes are registered. Only for peers on epmd's own host.
 * @throws IsthmusError as {@link lookupPort}
 */
export async function kill(options: EpmdRequestOptions = {}): Promise<boolean> {
  return await ask(encodeKillRequest(), killFormat, options);
}

/**
 * Takes a name out of epmd (STOP); the node itself goes on. False when the name is unknown. Only for peers on the
 * own host of an epmd that runs with `-relaxed_command_check`, else `EPMD_NO_REPLY`.
 * @throws IsthmusError as {@link lookupPort}
 */
export async function stopNode(name: string, options: EpmdRequestOptions = {}): Promise<boolean> {
  return await ask(encodeStopRequest(name), stopFormat, options);
}

async function ask<T>(request: Buffer, format: ReplyFormat<T>, options: EpmdRequestOptions): Promise<T> {
  const { reply, socket } = await exchange(request, format, options);
  discard(socket);
  return reply;
}

/**
 * epmd, the Erlang port mapper daemon: a client, a registration that is kept, resolvers from node names to ports, and
 * an embedded server. Everything that can be is a pure function or machine and exported as such.
 *
 * @example
 * ```ts
 * await using registration = await register({ name: "js", port: 5000 });
 * const { nodes } = await listNames();
 * ```
 * @packageDocumentation
 */
export { dump, kill, listNames, lookupPort, stopNode } from "./client.ts";
export type { EpmdServer, EpmdServerOptions } from "./embedded-server.ts";
export { DEFAULT_EPMD_PORT, type EpmdEnvironment, epmdEnvironment } from "./environment.ts";
export { EPMD_ERROR_CODES, type EpmdErrorCode } from "./errors.ts";
export type { EpmdAddress, EpmdRequestOptions } from "./exchange.ts";
export type { EpmdNodeInfo, EpmdNodeType } from "./node-info.ts";
export {
  type RegisterOptions,
  type Registration,
  type RegistrationChange,
  register,
} from "./registration.ts";
export {
  NodeRegistry,
  type RegisteredNode,
  type RegisterResult,
  type RegistryLimits,
} from "./registry.ts";
export {
  type Alive2Reply,
  decodeAlive2Reply,
  decodeDumpReply,
  decodeKillReply,
  decodeNamesReply,
  decodePort2Reply,
  decodeStopReply,
  type EpmdDump,
  type EpmdDumpEntry,
  type EpmdNames,
  encodeAlive2Reply,
  encodeDumpReply,
  encodeKillReply,
  encodeNamesReply,
  encodePort2Reply,
  encodeStopReply,
  foldCreation,
  type ReplyNode,
} from "./replies.ts";
export {
  alive2Format,
  dumpFormat,
  killFormat,
  namesFormat,
  port2Format,
  type ReplyFormat,
  ReplyReader,
  stopFormat,
} from "./reply-reader.ts";
export {
  type Alive2Fields,
  decodeRequest,
  type EpmdRequest,
  encodeAlive2Request,
  encodeDumpRequest,
  encodeKillRequest,
  encodeNamesRequest,
  encodePort2Request,
  encodeStopRequest,
  MAX_REQUEST_BYTES,
} from "./requests.ts";
export {
  type EpmdResolverOptions,
  epmdResolver,
  fixedPortResolver,
  type NodeEndpoint,
  type NodeResolver,
  type ResolveOptions,
  type StaticEndpoint,
  staticResolver,
} from "./resolver.ts";
export { ensureEpmdServer, startEpmdServer } from "./server.ts";
export {
  isLocalPeer,
  type ServerAction,
  ServerConnection,
  type ServerConnectionOptions,
} from "./server-machine.ts";

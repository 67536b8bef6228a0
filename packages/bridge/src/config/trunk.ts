import { isIP } from "node:net";
import type * as v from "valibot";
import type { SiteOptions, TrunkOptions } from "../sites/options.ts";
import { checkSites, credentials } from "../trunk/credentials.ts";
import type { OpenWire } from "../trunk/dial.ts";
import { type TrunkLimits, trunkLimits } from "../trunk/limits.ts";
import type { NatsOptions } from "../trunk/nats-client.ts";
import { natsDialer } from "../trunk/nats-dialer.ts";
import { webSocket } from "../trunk/ws-client.ts";
import type { Examination } from "./examination.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";
import { camelCased } from "./topology.ts";
import { siteSchema, trunkSchema } from "./trunk-schema.ts";
import { withoutUndefined } from "./without-undefined.ts";

type TrunkInput = v.InferOutput<typeof trunkSchema>;
type SiteInput = v.InferOutput<typeof siteSchema>;

const AT: KeyPath = ["trunk"];

/** What is left of the way to a site when nothing secret is shown. */
export interface ReadTrunk {
  readonly options: TrunkOptions;
  /** Addresses without what may be secret in them, by site. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
}

/** The trunk that is written in a file; undefined, with its problems, when it is none. */
export function readTrunk(examination: Examination, raw: unknown): ReadTrunk | undefined {
  const trunk = examination.part(trunkSchema, raw, AT);
  const given = isRecord(raw) && isRecord(raw["sites"]) ? raw["sites"] : {};
  const inputs = new Map<string, SiteInput>();
  for (const [name, one] of Object.entries(given)) {
    const site = examination.part(siteSchema, one, [...AT, "sites", name]);
    if (site !== undefined) inputs.set(name, site);
  }
  if (trunk === undefined) return undefined;
  const listen = trunk.listen && readListen(examination, trunk.listen);
  const nats = trunk.nats && readNats(examination, trunk.nats);
  const sites: Record<string, SiteOptions> = {};
  for (const [name, input] of inputs) {
    const site = new SiteReading(examination, trunk.site, name, nats).options(input);
    if (site !== undefined) sites[name] = site;
  }
  if (Object.keys(given).length === 0)
    examination.add([...AT, "sites"], "names no site; add those to be joined with.", "key");
  const called = [...inputs].filter(([, { connect }]) => connect === undefined).map(([name]) => name);
  if (called.length > 0 && listen === undefined && nats === undefined) {
    for (const name of called)
      examination.add(
        [...AT, "sites", name],
        "has no connect, and the trunk has no listen: neither side would call the other.",
        "key",
      );
  }
  return {
    options: {
      site: trunk.site,
      // those who call everybody else need no calls of theirs
      ...withoutUndefined({ listen, nats: called.length === 0 && inputs.size > 0 ? undefined : nats }),
      sites,
    },
    addresses: new Map(Array.from(inputs, ([name, { connect = [] }]) => [name, connect.map(publicAddress)])),
  };
}

function readListen(
  examination: Examination,
  given: NonNullable<TrunkInput["listen"]>,
): NonNullable<TrunkOptions["listen"]> {
  const { host, port, path, max_connections } = given;
  const at: KeyPath = [...AT, "listen", "tls"];
  const { tls } = given;
  const read =
    tls &&
    withoutUndefined({
      cert: examination.file(tls.certificate, [...at, "certificate"]) ?? "",
      key: examination.file(tls.key, [...at, "key"]) ?? "",
      passphrase: examination.secret(tls.passphrase, [...at, "passphrase"]),
      ca: examination.file(tls.ca, [...at, "ca"]),
    });
  return withoutUndefined({ port, host, path, maxConnections: max_connections, tls: read });
}

function readNats(examination: Examination, given: NonNullable<TrunkInput["nats"]>): NatsOptions {
  const at: KeyPath = [...AT, "nats"];
  const { servers, user, prefix, tls } = given;
  servers.forEach((server, i) => {
    if (!/^(nats|tls):\/\//.test(server) || !URL.canParse(server))
      examination.add([...at, "servers", i], "must be the address of a server, nats://host:port.");
  });
  const pem = (key: "ca" | "certificate" | "key"): string | undefined =>
    examination.file(tls?.[key], [...at, "tls", key])?.toString("utf8");
  return withoutUndefined({
    servers,
    token: examination.secret(given.token, [...at, "token"]),
    user,
    password: examination.secret(given.password, [...at, "password"]),
    prefix,
    tls: tls && withoutUndefined({ ca: pem("ca"), cert: pem("certificate"), key: pem("key") }),
  });
}

/** Reads one site, whose problems are told where they stand. */
class SiteReading {
  readonly #examination: Examination;
  readonly #ours: string;
  readonly #name: string;
  readonly #nats: NatsOptions | undefined;
  readonly #path: KeyPath;

  constructor(examination: Examination, ours: string, name: string, nats: NatsOptions | undefined) {
    this.#examination = examination;
    this.#ours = ours;
    this.#name = name;
    this.#nats = nats;
    this.#path = [...AT, "sites", name];
  }

  options(given: SiteInput): SiteOptions | undefined {
    const examination = this.#examination;
    const { certificate, deflate, limits } = given;
    const secret = examination.secret(given.secret, [...this.#path, "secret"]);
    const known = withoutUndefined({ secret, certificate });
    examination.attempt(() => checkSites(this.#ours, this.#name), this.#wrong());
    // a secret that could not be read has its problem already
    if (given.secret === undefined || secret !== undefined)
      examination.attempt(
        () => credentials(known),
        this.#wrong(given.secret === undefined ? [] : ["secret"]),
      );
    const bounds = limits && (camelCased(limits) as Partial<TrunkLimits>);
    examination.attempt(() => trunkLimits(bounds), this.#wrong(["limits"]));
    const open = this.#open(given);
    return {
      ...known,
      ...withoutUndefined({ deflate, limits: bounds, open: open.length === 0 ? undefined : open }),
    };
  }

  #wrong(key: KeyPath = []): (message: string) => void {
    return (message) => this.#examination.add([...this.#path, ...key], `is not right. ${message}`, "key");
  }

  #open(given: SiteInput): OpenWire[] {
    const { connect = [], proxy } = given;
    const tls = this.#tls(given);
    const one = connect.length === 1;
    const servers: string[] = [];
    const ways = connect.flatMap((address, i): OpenWire[] => {
      const at: KeyPath = ["connect", ...(one ? [] : [i])];
      if (this.#examination.yaml.isUnresolved([...this.#path, ...at])) return [];
      if (/^(nats|tls):\/\//.test(address)) {
        servers.push(address);
        return [];
      }
      const way = this.#examination.attempt(
        () => webSocket({ url: address, ...withoutUndefined({ tls, proxy }) }),
        this.#wrong(at),
      );
      return way === undefined ? [] : [way];
    });
    if (servers.length > 0)
      ways.push(natsDialer({ ...this.#nats, servers, site: this.#ours, peer: this.#name }));
    return ways;
  }

  #tls({ tls, certificate }: SiteInput) {
    const examination = this.#examination;
    const at: KeyPath = [...this.#path, "tls"];
    if (tls?.server_name !== undefined && isIP(tls.server_name) !== 0)
      examination.add([...at, "server_name"], "must be a name; an address needs none.");
    const read = withoutUndefined({
      ca: examination.file(tls?.ca, [...at, "ca"]),
      cert: examination.file(tls?.certificate, [...at, "certificate"]),
      key: examination.file(tls?.key, [...at, "key"]),
      passphrase: examination.secret(tls?.passphrase, [...at, "passphrase"]),
      servername: tls?.server_name,
      // who is known by a certificate need not have the name of a host in it
      site: certificate === true ? this.#name : undefined,
    });
    return Object.keys(read).length === 0 ? undefined : read;
  }
}

/** An address without user, password and query. */
function publicAddress(address: string): string {
  if (!URL.canParse(address)) return "an address";
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

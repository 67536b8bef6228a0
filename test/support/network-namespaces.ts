import { spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "vitest";
import { OwnedProcess } from "./owned-process.ts";
import { owned } from "./tidy.ts";

export interface NetworkOptions {
  /** How many hosts there are, 1 to 99. */
  readonly hosts: number;
  /** First three numbers of the addresses. Networks do not see each other, so all may have the same. Default "10.77.0". */
  readonly prefix?: string | undefined;
  /** More names in every host's /etc/hosts, name to address. */
  readonly names?: Readonly<Record<string, string>> | undefined;
  /** Files that programs on every host see in place of the machine's, path to content; the path must exist. */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

/** A host of a {@link Network}: a network namespace with `lo`, and `eth0` on the common bridge. */
export interface NetworkHost {
  /** "h1.test", "h2.test"...; every host of the network knows it, and the short "h1", by /etc/hosts. */
  readonly name: string;
  /** "10.77.0.11" for h1.test, "10.77.0.12" for h2.test... */
  readonly address: string;
  /** "fd77::11" for h1.test... */
  readonly address6: string;
  /** Name of the network namespace, for `ip -n`. */
  readonly namespace: string;
  /** Starts a program on this host. It ends at the latest when the network is stopped. */
  start(
    title: string,
    command: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<OwnedProcess>;
  /** Runs a program on this host to its end. @returns what it printed @throws with that if its status is not 0 */
  run(command: string, ...args: readonly string[]): Promise<string>;
  /** Pulls the plug: the bridge's end of the link goes down, connections are not told. Until `plug`. */
  unplug(): Promise<void>;
  plug(): Promise<void>;
  /** Takes the interface away and makes it anew, with the same addresses: what was bound to the old one is not told. */
  replaceLink(): Promise<void>;
}

/** Hosts on one private network of this machine. The machine's own interfaces and routes have no part in it. */
export interface Network {
  readonly hosts: readonly NetworkHost[];
  /** Drops every packet between hosts of different groups; a host in no group is not touched. Until `heal`. */
  partition(...groups: readonly (readonly NetworkHost[])[]): Promise<void>;
  /** Ends every partition and plugs every host in. */
  heal(): Promise<void>;
  /** Ends every process on the hosts and removes them. Any number of times; else at the end of the test file. */
  stop(): Promise<void>;
}

/** Why no network can be made here; undefined when one can. */
export function networksMissing(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are a thing of Linux";
  for (const [program, flag] of [
    ["ip", "-V"],
    ["nft", "-v"],
  ] as const) {
    if (spawnSync(program, [flag]).status !== 0)
      return `${program} is not in PATH (Debian: iproute2, nftables)`;
  }
  const made = spawnSync("unshare", ["--net", "--mount", "true"], { encoding: "utf8" });
  return made.status === 0 ? undefined : `namespaces cannot be made: ${made.stderr || made.error}`.trim();
}

/**
 * `describe` for tests that need a network. Where none can be made there is a test that says why: failing when
 * `CI=true` or `ISTHMUS_REQUIRE_PEERS=1`, else skipped.
 */
export function describeNetwork(title: string, body: () => void): void {
  const missing = networksMissing();
  if (missing === undefined) {
    describe(title, body);
  } else if (process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1") {
    test(title, () => {
      throw new Error(missing);
    });
  } else {
    test.skip(`${title}: ${missing}`, () => {});
  }
}

let networks = 0;

/** Makes a network and waits until its links are up. IPv4 and IPv6, multicast and broadcast work between its hosts. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  await removeLeftovers();
  networks += 1;
  const network = new NamespaceNetwork(`isthmus-${process.pid}-${networks}`, options);
  owned.add(network);
  try {
    await network.make();
  } catch (error) {
    await network.stop();
    throw error;
  }
  return network;
}

class NamespaceNetwork implements Network {
  readonly hosts: readonly NamespaceHost[];
  readonly #switch: string;
  #stopped: Promise<void> | undefined;

  constructor(name: string, { hosts, prefix = "10.77.0", names = {}, files = {} }: NetworkOptions) {
    this.#switch = `${name}-sw`;
    const addresses = Array.from({ length: hosts }, (_, i) => `${prefix}.${11 + i}`);
    const table = [
      "127.0.0.1 localhost",
      "::1 localhost",
      ...addresses.map((address, i) => `${address} h${i + 1}.test h${i + 1}`),
      ...Object.entries(names).map(([host, address]) => `${address} ${host}`),
    ];
    const seen = { "/etc/hosts": `${table.join("\n")}\n`, ...files };
    this.hosts = addresses.map(
      (address, i) => new NamespaceHost(`${name}-h${i + 1}`, this.#switch, i + 1, address, seen),
    );
  }

  async make(): Promise<void> {
    const namespaces = [this.#switch, ...this.hosts.map(({ namespace }) => namespace)];
    await ip([], ...namespaces.map((name) => `netns add ${name}`));
    // without snooping a bridge passes multicast on to every port, as a plain switch does
    await ip(["-n", this.#switch], "link add br0 type bridge mcast_snooping 0", "link set br0 up");
    await Promise.all(this.hosts.map((host) => host.link()));
  }

  async partition(...groups: readonly (readonly NetworkHost[])[]): Promise<void> {
    for (const group of groups) {
      const others = groups.filter((other) => other !== group).flat();
      for (const host of group) await this.hosts.find((one) => one === host)!.refuse(others);
    }
  }

  async heal(): Promise<void> {
    for (const host of this.hosts) {
      await host.refuse([]);
      await host.plug();
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    owned.delete(this);
    await Promise.all(this.hosts.map((host) => host.end()));
    for (const name of [...this.hosts.map(({ namespace }) => namespace), this.#switch]) await remove(name);
  }
}

class NamespaceHost implements NetworkHost {
  readonly name: string;
  readonly address: string;
  readonly address6: string;
  readonly namespace: string;
  /** The bridge's end of our link. */
  readonly #port: string;
  readonly #switch: string;
  readonly #files: Readonly<Record<string, string>>;
  readonly #processes = new Set<OwnedProcess>();

  constructor(
    namespace: string,
    switchNamespace: string,
    number: number,
    address: string,
    files: Readonly<Record<string, string>>,
  ) {
    this.name = `h${number}.test`;
    this.#port = `p${number}`;
    this.address = address;
    this.address6 = `fd77::${10 + number}`;
    this.namespace = namespace;
    this.#switch = switchNamespace;
    this.#files = files;
  }

  async start(
    title: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<OwnedProcess> {
    const [program, ...all] = this.#inside(command, args);
    const child = await OwnedProcess.start(`${title} on ${this.name}`, program!, all, env);
    this.#processes.add(child);
    child.exited.finally(() => this.#processes.delete(child));
    return child;
  }

  run(command: string, ...args: readonly string[]): Promise<string> {
    return output(this.#inside(command, args));
  }

  async unplug(): Promise<void> {
    await ip(["-n", this.#switch], `link set ${this.#port} down`);
  }

  async plug(): Promise<void> {
    await ip(["-n", this.#switch], `link set ${this.#port} up`);
    await this.#linked();
  }

  async replaceLink(): Promise<void> {
    await ip(["-n", this.#switch], `link del ${this.#port}`);
    await this.link();
  }

  /** Makes the interface, and waits until packets can go out. */
  async link(): Promise<void> {
    await ip(
      ["-n", this.#switch],
      `link add ${this.#port} type veth peer name eth0 netns ${this.namespace}`,
      `link set ${this.#port} master br0 up`,
    );
    await ip(
      ["-n", this.namespace],
      "link set lo up",
      `addr add ${this.address}/24 brd + dev eth0`,
      `addr add ${this.address6}/64 dev eth0 nodad`,
      "link set eth0 up",
      // there is no default route: these say where multicast and the broadcast to all go
      "route add 224.0.0.0/4 dev eth0",
      "route add 255.255.255.255/32 dev eth0",
    );
    await this.#linked();
  }

  async #linked(): Promise<void> {
    const up = async (): Promise<boolean> =>
      (await output(["ip", "-n", this.namespace, "-o", "link", "show", "eth0"])).includes("state UP");
    for (const end = Date.now() + 30_000; !(await up()); await sleep(10)) {
      if (Date.now() > end) throw new Error(`eth0 of ${this.namespace} did not come up.`);
    }
  }

  /** Drops what comes from and goes to these hosts; everything else passes. */
  async refuse(hosts: readonly NetworkHost[]): Promise<void> {
    const rules = hosts.flatMap(({ address, address6 }) => [
      ...[`in ip saddr ${address}`, `in ip6 saddr ${address6}`],
      ...[`out ip daddr ${address}`, `out ip6 daddr ${address6}`],
    ]);
    const script = [
      // added first, so that there is one to delete
      ...["add table inet refused", "delete table inet refused", "add table inet refused"],
      "add chain inet refused in { type filter hook input priority 0; }",
      "add chain inet refused out { type filter hook output priority 0; }",
      ...rules.map((rule) => `add rule inet refused ${rule} drop`),
    ];
    await output(["ip", "netns", "exec", this.namespace, "nft", "-f", "-"], script.join("\n"));
  }

  async end(): Promise<void> {
    await Promise.all([...this.#processes].map((child) => child.stop()));
    // what those left behind, such as an epmd: nobody else's processes are in this namespace
    const pids = await output(["ip", "netns", "pids", this.namespace]).catch(() => "");
    for (const pid of pids.split(/\s+/).filter((text) => text !== "")) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // it has just ended
      }
    }
  }

  // The files are bound over the machine's in the mount namespace that `ip netns exec` makes for the one process, and
  // have no name any more when it starts. So nothing is written to /etc/netns, and nothing is left behind.
  #inside(command: string, args: readonly string[]): string[] {
    const script =
      'while [ "$1" != -- ]; do f=$(mktemp) && printf %s "$2" >"$f" && chmod 644 "$f" && ' +
      'mount --bind "$f" "$1" || exit 125; rm "$f"; shift 2; done; shift; exec "$@"';
    const files = Object.entries(this.#files).flat();
    return [
      ...["ip", "netns", "exec", this.namespace],
      ...["sh", "-c", script, "sh", ...files, "--", command, ...args],
    ];
  }
}

/** Removes the namespaces of test files whose process was killed. */
async function removeLeftovers(): Promise<void> {
  for (const line of (await output(["ip", "netns", "list"])).split("\n")) {
    const [name, pid] = /^isthmus-(\d+)-\d+-\w+/.exec(line) ?? [];
    if (name !== undefined && !alive(Number(pid))) await remove(name);
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function remove(namespace: string): Promise<void> {
  // another test file may be removing the same leftovers
  await output(["ip", "netns", "del", namespace]).catch((error: Error) => {
    if (!error.message.includes("No such file")) throw error;
  });
}

/** Runs `ip` with all commands at once. */
async function ip(flags: readonly string[], ...commands: readonly string[]): Promise<void> {
  await output(["ip", ...flags, "-batch", "-"], commands.join("\n"));
}

async function output([program, ...args]: readonly string[], input = ""): Promise<string> {
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "pipe"] });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      printed[name] += text;
    });
  }
  child.stdin.on("error", () => {}).end(input);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  if (status === 0) return printed.stdout;
  const said = `${printed.stdout}${printed.stderr}`.trim();
  throw new Error(`${program} ${args.join(" ")} ended with status ${status}. ${said}`);
}

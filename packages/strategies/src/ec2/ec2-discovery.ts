import { strategiesError } from "../errors.ts";
import type { Ec2Api, Ec2Filter, Ec2Instance } from "./ec2-api.ts";
import type { InstanceMetadata } from "./instance-metadata.ts";

/** One value, several, or a function of the tag's name that gives either. */
export type TagValue =
  | string
  | readonly string[]
  | ((tagName: string) => string | readonly string[] | Promise<string | readonly string[]>);

/** Filters by their names in EC2's API, such as `{ "vpc-id": "vpc-1", "tag:stage": ["live", "canary"] }`. */
export type Ec2Filters = Readonly<Record<string, string | readonly string[]>>;

/** Which instances, and which of their addresses. */
export interface Ec2Search {
  readonly tagName: string;
  /** @default what the instance has on which this runs */
  readonly tagValue: TagValue | undefined;
  readonly ipType: "private" | "public" | "ipv6";
  readonly filters: Ec2Filters;
  /** @default the environment's, or where this runs */
  readonly region: string | undefined;
}

/** Finds addresses of instances. What it learns about its own instance it asks only once. */
export class Ec2Discovery {
  readonly #search: Ec2Search;
  readonly #metadata: InstanceMetadata;
  readonly #open: (region: string) => Promise<Ec2Api>;
  #api: Ec2Api | undefined;
  #ownValue: string | undefined;

  constructor(search: Ec2Search, metadata: InstanceMetadata, open: (region: string) => Promise<Ec2Api>) {
    this.#search = search;
    this.#metadata = metadata;
    this.#open = open;
  }

  /** @throws IsthmusError `DISCOVERY_FAILED`, `PEER_DEPENDENCY_MISSING` */
  async addresses(signal: AbortSignal): Promise<string[]> {
    const { tagName, ipType, filters } = this.#search;
    this.#api ??= await this.#open(await this.#region(signal));
    const wanted = {
      "instance-state-name": "running",
      [`tag:${tagName}`]: await this.#tagValues(this.#api, signal),
      ...filters,
    };
    const instances = await this.#api.instances(Object.entries(wanted).map(filter), signal);
    return instances.map((instance) => address(instance, ipType)).filter((one) => one !== undefined);
  }

  close(): void {
    this.#api?.close();
  }

  async #region(signal: AbortSignal): Promise<string> {
    const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
    return this.#search.region || AWS_REGION || AWS_DEFAULT_REGION || (await this.#metadata.region(signal));
  }

  async #tagValues(api: Ec2Api, signal: AbortSignal): Promise<string | readonly string[]> {
    const { tagName, tagValue } = this.#search;
    if (typeof tagValue === "function") return tagValue(tagName);
    if (tagValue !== undefined) return tagValue;
    this.#ownValue ??= await this.#ownTag(api, signal);
    return escapeWildcards(this.#ownValue);
  }

  async #ownTag(api: Ec2Api, signal: AbortSignal): Promise<string> {
    const { tagName } = this.#search;
    const shown = await this.#metadata.tag(tagName, signal);
    if (shown !== undefined) return shown;
    const id = await this.#metadata.instanceId(signal);
    const own = await api.instance(id, signal);
    const tag = own?.Tags?.find(({ Key }) => Key === tagName);
    if (tag !== undefined) return tag.Value ?? "";
    throw strategiesError(
      "DISCOVERY_FAILED",
      `The instance ${id}, on which this runs, has no tag ${tagName}. Give it one, or set ec2_tagvalue.`,
      { context: { tag: tagName, instance: id } },
    );
  }
}

function filter([name, values]: [string, string | readonly string[]]): Ec2Filter {
  return { Name: name, Values: typeof values === "string" ? [values] : [...values] };
}

/** EC2 takes these characters of a filter's value for wildcards. */
function escapeWildcards(value: string): string {
  return value.replace(/[*?\\]/g, "\\$&");
}

function address(instance: Ec2Instance, type: Ec2Search["ipType"]): string | undefined {
  if (type === "private") return instance.PrivateIpAddress;
  if (type === "public") return instance.PublicIpAddress;
  const all = (instance.NetworkInterfaces ?? []).flatMap(({ Ipv6Addresses }) => Ipv6Addresses ?? []);
  return all.find(({ Ipv6Address }) => Ipv6Address)?.Ipv6Address;
}

import { coded } from "../errors.ts";
import { loadPeer } from "../peer-dependency.ts";

/** A filter of `DescribeInstances`: any of the values fits, with `*` and `?` as wildcards. */
export interface Ec2Filter {
  readonly Name: string;
  readonly Values: string[];
}

/** What of an instance matters here, as the SDK gives it. */
export interface Ec2Instance {
  readonly PrivateIpAddress?: string | undefined;
  readonly PublicIpAddress?: string | undefined;
  readonly NetworkInterfaces?:
    | readonly {
        readonly Ipv6Addresses?: readonly { readonly Ipv6Address?: string | undefined }[] | undefined;
      }[]
    | undefined;
  readonly Tags?:
    | readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[]
    | undefined;
}

/** The one call of EC2 that is needed. */
export interface Ec2Api {
  /** Every instance that fits all filters, page after page. @throws IsthmusError `DISCOVERY_FAILED` */
  instances(filters: readonly Ec2Filter[], signal: AbortSignal): Promise<Ec2Instance[]>;
  /** The instance itself; undefined when EC2 does not know it. @throws IsthmusError `DISCOVERY_FAILED` */
  instance(id: string, signal: AbortSignal): Promise<Ec2Instance | undefined>;
  /** Closes idle connections. */
  close(): void;
}

/** What is used of the npm package `@aws-sdk/client-ec2`. */
export interface Ec2Sdk {
  readonly EC2Client: new (config: { region: string; endpoint?: string; maxAttempts: number }) => Ec2Client;
  readonly DescribeInstancesCommand: new (input: DescribeInstances) => object;
}

interface Ec2Client {
  // biome-ignore lint/suspicious/noExplicitAny: the SDK's own type of commands is not for others
  send(command: any, options: { abortSignal: AbortSignal }): Promise<DescribedInstances>;
  destroy(): void;
}

interface DescribeInstances {
  Filters?: Ec2Filter[];
  InstanceIds?: string[];
  MaxResults?: number;
  NextToken?: string;
}

interface DescribedInstances {
  readonly Reservations?: readonly { readonly Instances?: readonly Ec2Instance[] | undefined }[] | undefined;
  readonly NextToken?: string | undefined;
}

/** The most that EC2 gives at once. */
const PAGE = 1000;
/** An answer of more pages has no end. */
const MAX_PAGES = 100;

/**
 * EC2 by the AWS SDK, with the credentials of its usual chain.
 * @throws IsthmusError `PEER_DEPENDENCY_MISSING`
 */
export async function ec2Api(
  region: string,
  endpoint: string | undefined,
  load: () => Promise<Ec2Sdk> = () => import("@aws-sdk/client-ec2"),
): Promise<Ec2Api> {
  const { EC2Client, DescribeInstancesCommand } = await loadPeer("ec2", "@aws-sdk/client-ec2", load);
  // the next round tries again
  const client = new EC2Client({ region, maxAttempts: 1, ...(endpoint === undefined ? {} : { endpoint }) });
  const describe = async (input: DescribeInstances, signal: AbortSignal): Promise<DescribedInstances> => {
    try {
      return await client.send(new DescribeInstancesCommand(input), { abortSignal: signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw failed(error);
    }
  };
  return {
    async instances(filters, signal) {
      const found: Ec2Instance[] = [];
      let page: DescribedInstances = {};
      for (let count = 1; count === 1 || page.NextToken; count++) {
        if (count > MAX_PAGES) throw failed(new Error(`more than ${MAX_PAGES} pages of instances`));
        const next = page.NextToken ? { NextToken: page.NextToken } : {};
        page = await describe({ Filters: [...filters], MaxResults: PAGE, ...next }, signal);
        found.push(...instancesOf(page));
      }
      return found;
    },
    async instance(id, signal) {
      return instancesOf(await describe({ InstanceIds: [id] }, signal))[0];
    },
    close: () => client.destroy(),
  };
}

function instancesOf({ Reservations = [] }: DescribedInstances): Ec2Instance[] {
  return Reservations.flatMap(({ Instances = [] }) => Instances);
}

function failed(error: unknown): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const hint = /Unauthorized|AccessDenied/.test(name) ? " The right ec2:DescribeInstances is needed." : "";
  return coded(error, "DISCOVERY_FAILED", `EC2 DescribeInstances failed: ${name}: ${message}.${hint}`);
}

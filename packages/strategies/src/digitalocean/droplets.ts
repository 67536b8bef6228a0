import { strategiesError } from "../errors.ts";
import { canonicalAddress } from "../node-names.ts";

/** A droplet that runs, as far as it matters here. */
export interface Droplet {
  readonly id: number;
  readonly name: string;
  readonly address: string;
}

/** One page of the list of droplets. */
export interface DropletPage {
  readonly droplets: readonly Droplet[];
  /** Droplets that run but have no address of the wanted kind. */
  readonly withoutAddress: readonly string[];
  /** Where the next page is. */
  readonly next: string | undefined;
}

/** Which address of a droplet counts. */
export interface AddressChoice {
  readonly network: "private" | "public";
  readonly ipv6: boolean;
}

/**
 * Reads what `GET /v2/droplets` gives. Droplets that are not `active` are left out.
 * @throws IsthmusError `HTTP_BODY_INVALID` when it is no list of droplets
 */
export function readDropletPage(body: unknown, choice: AddressChoice): DropletPage {
  const list = field(body, "droplets");
  if (!Array.isArray(list)) throw notDroplets("it has no droplets");
  const droplets: Droplet[] = [];
  const withoutAddress: string[] = [];
  for (const item of list as unknown[]) {
    const id = field(item, "id");
    const name = field(item, "name");
    if (typeof id !== "number" || typeof name !== "string") throw notDroplets("a droplet has no id or name");
    if (field(item, "status") !== "active") continue;
    const address = addressOf(item, choice);
    if (address === undefined) withoutAddress.push(name);
    else droplets.push({ id, name, address });
  }
  const next = field(field(field(body, "links"), "pages"), "next");
  return { droplets, withoutAddress, next: typeof next === "string" ? next : undefined };
}

function addressOf(droplet: unknown, { network, ipv6 }: AddressChoice): string | undefined {
  const list = field(field(droplet, "networks"), ipv6 ? "v6" : "v4");
  const found = Array.isArray(list) ? list.find((one) => field(one, "type") === network) : undefined;
  const address = field(found, "ip_address");
  return typeof address === "string" && address !== "" ? canonicalAddress(address) : undefined;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function notDroplets(what: string): Error {
  const message = `The answer of DigitalOcean is not a list of droplets: ${what}. Check base_url.`;
  return strategiesError("HTTP_BODY_INVALID", message);
}

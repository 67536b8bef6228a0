/** Longest name as it is written, without the final dot (RFC 1035 section 2.3.4). */
const MAX_NAME = 253;
const LABEL = /^[a-z0-9_-]{1,63}$/i;

/**
 * Whether `name` can be asked for, with or without the final dot: labels of letters, digits, `-` and `_`. Names in
 * other scripts must be in their ASCII form (`xn--...`).
 */
export function isDomainName(name: string): boolean {
  const bare = withoutFinalDot(name);
  return bare.length <= MAX_NAME && bare.split(".").every((label) => LABEL.test(label));
}

export function withoutFinalDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/** Whether two names are the same for a name server. */
export function sameName(one: string, other: string): boolean {
  return withoutFinalDot(one).toLowerCase() === withoutFinalDot(other).toLowerCase();
}

/** What the search list is made of. */
export interface SearchList {
  readonly search: readonly string[];
  /** A name with at least that many dots is tried as it is first. */
  readonly ndots: number;
}

export const NO_SEARCH: SearchList = { search: [], ndots: 1 };

/**
 * The names to ask for in turn, each absolute, until one of them has an answer. Like `inet_res:getbyname`, a name with
 * a final dot is only tried as it is, one with dots first as it is, and one without dots first with each suffix; but
 * `ndots` is heeded, and a name without dots is tried as it is at last, as other resolvers do.
 */
export function searchNames(name: string, { search, ndots }: SearchList): readonly string[] {
  if (name.endsWith(".")) return [withoutFinalDot(name)];
  const dots = name.split(".").length - 1;
  const longer = search
    .map((suffix) => `${name}.${withoutFinalDot(suffix)}`)
    .filter((candidate) => isDomainName(candidate));
  return dots >= Math.max(ndots, 1) ? [name, ...longer] : [...longer, name];
}

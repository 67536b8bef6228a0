import { IsthmusError } from "./errors.ts";

/** A full Erlang node name in its two parts. */
export interface NodeName {
  /** The whole name, `name@host`. */
  readonly full: string;
  /** The part that epmd knows. */
  readonly name: string;
  readonly host: string;
}

/** An atom holds at most 255 characters (erts `MAX_ATOM_CHARACTERS`). */
const MAX_CHARACTERS = 255;

/**
 * Splits and checks a node name: exactly one `@`, neither part empty, at most 255 characters.
 * @throws IsthmusError `NODE_NAME_INVALID`
 */
export function parseNodeName(full: string): NodeName {
  const at = full.indexOf("@");
  const problem =
    at < 0
      ? "it has no '@'"
      : at === 0 || at === full.length - 1
        ? "the part before or after '@' is empty"
        : full.indexOf("@", at + 1) >= 0
          ? "it has more than one '@'"
          : [...full].length > MAX_CHARACTERS
            ? `it is longer than ${MAX_CHARACTERS} characters`
            : hasForbiddenCharacter(full)
              ? "it has a space, a slash or a control character"
              : undefined;
  if (problem !== undefined) {
    throw new IsthmusError(
      "NODE_NAME_INVALID",
      `${JSON.stringify(full.slice(0, 300))} is not a node name: ${problem}. Write it as name@host.`,
      { context: { node: full.slice(0, 300) } },
    );
  }
  return { full, name: full.slice(0, at), host: full.slice(at + 1) };
}

/** True when `full` is a valid node name; never throws. */
export function isNodeName(full: string): boolean {
  try {
    parseNodeName(full);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether a BEAM started with long names (`-name`) accepts this host: it has a dot or is an IP address
 * (`inet_tcp_dist:splitnode/3`). A BEAM with short names accepts the others.
 */
export function isLongHost(host: string): boolean {
  return host.includes(".") || host.includes(":");
}

function hasForbiddenCharacter(full: string): boolean {
  for (let i = 0; i < full.length; i++) {
    const c = full.charCodeAt(i);
    if (c <= 32 || c === 127 || c === 47 || c === 92) return true;
  }
  return false;
}

import { type Document, isMap, isScalar, isSeq, type Scalar } from "yaml";

/** A text in which a variable could not be replaced. */
export interface UnresolvedVariable {
  readonly node: Scalar;
  /** The rest of a sentence that begins with the key. */
  readonly message: string;
}

const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;
const NAME_AND_DEFAULT = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * Replaces `${NAME}` and `${NAME:-default}` in every text value by the environment; `$${` stands for `${` itself. What
 * comes in is not looked at again. A variable that is empty counts as not set, as with `:-` in a shell.
 * @returns what could not be replaced
 */
export function expandEnvironment(
  document: Document,
  env: Readonly<Record<string, string | undefined>>,
): UnresolvedVariable[] {
  const unresolved: UnresolvedVariable[] = [];
  const replace = (node: Scalar, text: string): string =>
    text.replace(REFERENCE, (found, inner: string | undefined) => {
      if (inner === undefined) return "${";
      const match = NAME_AND_DEFAULT.exec(inner);
      if (match === null || !found.endsWith("}")) {
        const message = `has a "\${" without a variable: write \${NAME} or \${NAME:-default}, and $\${ for the characters themselves.`;
        unresolved.push({ node, message });
        return found;
      }
      const [, name, otherwise] = match;
      const value = env[name!];
      if (value !== undefined && value !== "") return value;
      if (otherwise !== undefined) return otherwise;
      const message = `needs the environment variable ${name}, which is not set. Set it, or write \${${name}:-default}.`;
      unresolved.push({ node, message });
      return found;
    });
  const visit = (node: unknown): void => {
    if (isMap(node)) for (const { value } of node.items) visit(value);
    else if (isSeq(node)) for (const item of node.items) visit(item);
    else if (isScalar(node) && typeof node.value === "string") node.value = replace(node, node.value);
  };
  visit(document.contents);
  return unresolved;
}

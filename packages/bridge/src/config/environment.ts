import { type Document, isMap, isScalar, isSeq, type Node } from "yaml";

/** An environment variable that is asked for and not there. */
export interface MissingVariable {
  readonly name: string;
  readonly node: Node;
}

/**
 * Replaces `${NAME}` and `${NAME:-default}` in every text value by the environment; `$${` stands for `${` itself.
 * @returns the variables that are not set (or empty) and have no default
 */
export function expandEnvironment(
  document: Document,
  env: Readonly<Record<string, string | undefined>>,
): MissingVariable[] {
  const missing: MissingVariable[] = [];
  const visit = (node: unknown): void => {
    if (isMap(node)) for (const { value } of node.items) visit(value);
    else if (isSeq(node)) for (const item of node.items) visit(item);
    else if (isScalar(node) && typeof node.value === "string") {
      node.value = node.value.replace(
        /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
        (found, name: string | undefined, otherwise: string | undefined) => {
          if (name === undefined) return "${";
          const value = env[name];
          if (value !== undefined && value !== "") return value;
          if (otherwise === undefined) missing.push({ name, node });
          return otherwise ?? found;
        },
      );
    }
  };
  visit(document.contents);
  return missing;
}

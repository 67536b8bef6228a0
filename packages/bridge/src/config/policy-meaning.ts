import { clustersOf, type MeaningInput } from "./places.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";

/** What a rule may be about. */
const SUBJECTS = ["names", "groups", "pid", "rpc"] as const;
/** Keys that mean nothing where no message is: that a group is seen. */
const FOR_MESSAGES = ["from_nodes", "operations", "funs", "max_bytes", "rate"] as const;
/** Keys that mean something for `allow` only. */
const FOR_ALLOW = ["funs", "max_bytes", "rate", "nodes", "balance"] as const;

/** Finds what is wrong between the parts of rules, and between rules. */
export function checkPolicy(input: MeaningInput): void {
  const ids = new Map<string, number>();
  input.policy.forEach((rule, i) => {
    if (!isRecord(rule)) return;
    const path: KeyPath = ["policy", i];
    checkRule(input, rule, path);
    const id = rule["id"];
    if (typeof id !== "string") return;
    const first = ids.get(id);
    if (first === undefined) ids.set(id, i);
    else input.add([...path, "id"], `is the id of policy[${first}] too; give each rule its own.`);
  });
}

function checkRule(input: MeaningInput, rule: Readonly<Record<string, unknown>>, path: KeyPath): void {
  const { add } = input;
  const subjects = SUBJECTS.filter((key) => key in rule);
  const [first, second] = subjects;
  if (second !== undefined)
    add([...path, second], `and ${first} are both given; make two rules of it.`, "key");
  const allow = rule["action"] === "allow";
  if (allow && first === undefined) add(path, "lacks what it allows: names, groups, pid or rpc.");
  for (const key of FOR_ALLOW) {
    if (rule["action"] === "deny" && key in rule)
      add([...path, key], "has no meaning where nothing is allowed; take it out.", "key");
  }
  for (const key of ["nodes", "balance"] as const) {
    if (allow && key in rule && first !== "rpc")
      add([...path, key], "is for rules about rpc; where a name is, its route says.", "key");
  }
  for (const key of FOR_MESSAGES) {
    if (first === "groups" && key in rule)
      add(
        [...path, key],
        "has no meaning for groups, of which a cluster sees who is in them; take it out.",
        "key",
      );
  }
  if (allow && first === "rpc") {
    const to = rule["to"];
    if (typeof to !== "string" && !(Array.isArray(to) && to.length === 1))
      add(
        [...path, ...("to" in rule ? ["to"] : [])],
        "must have one cluster in to: the one that runs the functions.",
      );
    const [only] = Array.isArray(to) ? (to as unknown[]) : [to];
    if (clustersOf(input).some(({ id, far }) => far && id === only)) {
      if ("nodes" in rule)
        add(
          [...path, "nodes"],
          "has no meaning for a cluster of another site, whose bridge chooses; take it out.",
          "key",
        );
    } else if (!("nodes" in rule)) add(path, "lacks the key nodes: which nodes run the functions.");
    if ("to_nodes" in rule)
      add([...path, "to_nodes"], "has no meaning here; nodes says where functions run.", "key");
  }
}

import { loadConfig } from "../../config/config.ts";
import { explain } from "../../policy/explain.ts";
import { describeConfig } from "../describe.ts";
import { EXIT } from "../exit-status.ts";

/** What the command line asks for. */
export interface CheckOptions {
  /** A question about one signal; see {@link explain}. */
  readonly explain?: string;
}

/**
 * `isthmus check`: what the configuration would do, in the words of those who use it; or which rule decides about one
 * signal, and why. The status is 1 when that signal would be refused.
 */
export async function check(file: string, options: CheckOptions = {}): Promise<number> {
  const config = await loadConfig(file);
  if (options.explain === undefined) {
    console.log(`${file} is in order.\n\n${describeConfig(config)}`);
    return EXIT.OK;
  }
  const answer = explain(config, options.explain);
  if ("problem" in answer) {
    console.error(`isthmus: ${answer.problem}`);
    return EXIT.USAGE;
  }
  console.log(answer.text);
  return answer.allowed ? EXIT.OK : EXIT.FAILED;
}

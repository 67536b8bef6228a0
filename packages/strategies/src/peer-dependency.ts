import { strategiesError } from "./errors.ts";

/**
 * Loads an npm package that only one strategy needs, and that users of others need not install.
 * @throws IsthmusError `PEER_DEPENDENCY_MISSING`
 */
export async function loadPeer<T>(strategy: string, name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw strategiesError(
      "PEER_DEPENDENCY_MISSING",
      `The strategy ${strategy} needs the npm package ${name}, which cannot be loaded. Install it: npm install ${name}.`,
      { cause, context: { package: name } },
    );
  }
}

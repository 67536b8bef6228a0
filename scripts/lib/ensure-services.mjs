import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isDebian } from "./ensure-debian-packages.mjs";
import { root } from "./root.mjs";
import { quietStep, StepFailed } from "./run.mjs";

/** Programs that Debian has only in another release. Each is unpacked in a folder, once; nothing is installed. */
const services = [
  { name: "consul", program: "usr/bin/consul", make: ["deb-tree.sh", "bullseye", "FOLDER", "consul"] },
  { name: "moto", program: "bin/moto_server", make: ["moto-tree.sh", "FOLDER"] },
];

/**
 * Makes sure that Consul and moto (a mock of AWS) are there. A folder named by `ISTHMUS_CONSUL` or `ISTHMUS_MOTO` is
 * taken as it is.
 * @returns {Promise<Record<string, string>>} these variables for the tests
 */
export async function ensureServices() {
  const folders = {};
  for (const { name, program, make } of services) {
    const variable = `ISTHMUS_${name.toUpperCase()}`;
    const folder = process.env[variable] || join(homedir(), ".cache", "isthmus", "services", name);
    if (!existsSync(join(folder, program)) && !process.env[variable] && isDebian()) {
      const [script, ...rest] = make;
      const args = [join(root, "scripts", script), ...rest.map((arg) => (arg === "FOLDER" ? folder : arg))];
      await quietStep(`Unpacking ${name} in ${folder}`, "bash", args);
    }
    if (!existsSync(join(folder, program))) {
      throw new StepFailed(
        `${name} is missing: there is no ${program} in ${folder}. Set ${variable} to a folder that has it, ` +
          "or run only the unit tests: npm test -- --unit",
      );
    }
    folders[variable] = folder;
  }
  return folders;
}

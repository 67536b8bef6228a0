import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isDebian } from "./ensure-debian-packages.mjs";
import { root } from "./root.mjs";
import { quietStep, StepFailed } from "./run.mjs";

/**
 * Programs that Debian has only in another release, or as a source. Each is put in a folder, once; nothing is installed.
 * What is optional takes minutes to build, and may fail where there is little memory.
 */
const services = [
  { name: "consul", program: "usr/bin/consul", make: ["deb-tree.sh", "bullseye", "FOLDER", "consul"] },
  { name: "moto", program: "bin/moto_server", make: ["moto-tree.sh", "FOLDER"] },
  {
    name: "kubernetes",
    program: "bin/leader-election",
    make: ["kubernetes-tree.sh", "FOLDER"],
    doing: "Building a Kubernetes API server (minutes, once)",
    optional: true,
  },
];

/**
 * Makes sure that Consul, moto (a mock of AWS) and a Kubernetes API server are there. A folder named by `ISTHMUS_CONSUL`,
 * `ISTHMUS_MOTO` or `ISTHMUS_KUBERNETES` is taken as it is; the last may be `none`, and its tests are skipped then.
 * @returns {Promise<Record<string, string>>} these variables for the tests
 */
export async function ensureServices() {
  const folders = {};
  for (const { name, program, make, doing = `Unpacking ${name}`, optional = false } of services) {
    const variable = `ISTHMUS_${name.toUpperCase()}`;
    if (optional && process.env[variable] === "none") continue;
    const folder = process.env[variable] || join(homedir(), ".cache", "isthmus", "services", name);
    if (!existsSync(join(folder, program)) && !process.env[variable] && isDebian()) {
      const [script, ...rest] = make;
      const args = [join(root, "scripts", script), ...rest.map((arg) => (arg === "FOLDER" ? folder : arg))];
      await quietStep(`${doing} in ${folder}`, "bash", args);
    }
    if (!existsSync(join(folder, program)) && optional) {
      console.log(`NOTE: ${name} is not there (${variable}=none): its tests are skipped.`);
      folders[variable] = "none";
      continue;
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

// A process that wants a lease again and again, and prints when it has it: "+" and the time when that begins, "=" and the
// time while it goes on, in milliseconds of the machine's monotonic clock. Its argument: the options of kubernetesLease and how long it keeps it, { options, keepMs }.
import { type KubernetesLeaseOptions, kubernetesLease } from "@isthmus/bridge/trunk";

const { options, keepMs } = JSON.parse(process.argv[2]!) as {
  readonly options: KubernetesLeaseOptions;
  readonly keepMs: number;
};
const monotonic = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

const lease = kubernetesLease(options);
let had = false;
// the process lives by this timer: a lease does not keep it alive
setInterval(() => {
  // it was held when the clock was read, if it is held after that
  const now = monotonic();
  if (lease.held) process.stdout.write(`${had ? "=" : "+"}${now}\n`);
  had = lease.held;
}, 1);

for (;;) {
  await lease.acquire();
  const lost = new Promise<void>((resolve) => {
    const forget = lease.onLost(() => {
      forget();
      resolve();
    });
  });
  await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, keepMs * (0.5 + Math.random())))]);
  await lease.release();
}

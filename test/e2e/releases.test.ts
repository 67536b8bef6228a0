import { afterEach, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters } from "./two-clusters.ts";

const ORDERS = `{orders, ${BRIDGE}}`;

// OTP 27 and 29 share no connection with 23; the bridge speaks to each in its own forms.
describe.each([
  [25, 27],
  [27, 25],
  [27, 29],
  [23, 25],
] as const)("a cluster of OTP %i and one of OTP %i", (otpA, otpB) => {
  let clusters: TwoClusters;
  afterEach(() => clusters?.stop());

  it("call, pid, monitor, link and unlink across", async () => {
    clusters = await startTwoClusters({ otpA, otpB });
    await clusters.b.eval("isthmus_probe:orders(orders)");
    const near = (code: string) => clusters.a.eval(code);
    expect(await near(`gen_server:call(${ORDERS}, {add, 20, 22})`)).toBe("42");
    expect(
      await near(
        `T = {self(), make_ref(), [x|y], <<5:3>>, 1 bsl 80}, T =:= gen_server:call(${ORDERS}, {echo, T})`,
      ),
    ).toBe("true");
    expect(
      await near(`W = gen_server:call(${ORDERS}, {spawn_worker}), M = erlang:monitor(process, W), W ! {stop, why},
        receive {'DOWN', M, process, W, R} -> R after 5000 -> nothing end`),
    ).toBe("why");
    expect(
      await near(`process_flag(trap_exit, true), W2 = gen_server:call(${ORDERS}, {spawn_worker}), link(W2), unlink(W2), link(W2), W2 ! {stop, again},
        receive {'EXIT', W2, R2} -> R2 after 5000 -> nothing end`),
    ).toBe("again");
    expect(await near(`catch gen_server:call({secrets, ${BRIDGE}}, x)`)).toMatch(/^\{'EXIT',\{noproc,/);
    expect(clusters.bridge.status().clusters.map(({ connected }) => connected.length)).toEqual([1, 1]);
  });
});

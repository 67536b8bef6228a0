import { describe, expect, it } from "vitest";
import { acceptingProof, dialingProof } from "../../src/trunk/authentication.ts";
import { decodeHello, decodeSingle, encodeMessage } from "../../src/trunk/codec.ts";
import { KIND, type SessionTerms, type TrunkVersion } from "../../src/trunk/frames.ts";
import {
  type AcceptedPeer,
  AcceptingHandshake,
  type Credentials,
  DialingHandshake,
  type Handshake,
} from "../../src/trunk/handshake.ts";
import { trunkLimits } from "../../src/trunk/limits.ts";
import { SECRET, TwoSites } from "./two-sites.ts";

const limits = trunkLimits();
const session = Buffer.alloc(16, 7);
const secret = (text = SECRET): Credentials => ({ secret: Buffer.from(text), certificate: false });

interface Setup {
  readonly dialing?: Credentials;
  readonly accepting?: Credentials;
  readonly dialingNames?: readonly string[];
  readonly acceptingNames?: readonly string[];
  readonly versions?: readonly TrunkVersion[];
  readonly offered?: readonly TrunkVersion[];
  readonly peer?: string;
  readonly known?: string;
  readonly resume?: number;
}

function setUp(setup: Setup = {}) {
  let begun: SessionTerms | undefined;
  const accepted: AcceptedPeer = {
    ...{
      site: "south",
      limits: trunkLimits({ graceMs: 7000, windowBytes: 300_000 }),
      deflate: true,
      parts: true,
    },
    credentials: setup.accepting ?? secret(),
    begin: (resume, terms) => {
      begun = terms;
      return { session, resumed: resume !== undefined, received: resume === undefined ? 0 : 44 };
    },
  };
  const dialing = new DialingHandshake({
    ...{ site: "north", limits, deflate: true, parts: false, peer: setup.peer ?? "south" },
    credentials: setup.dialing ?? secret(),
    resume: setup.resume === undefined ? undefined : { session, received: setup.resume },
    certificateNames: setup.acceptingNames,
    ...(setup.offered === undefined ? {} : { versions: setup.offered }),
  });
  const accepting = new AcceptingHandshake({
    lookup: (site) => (site === (setup.known ?? "north") ? accepted : undefined),
    introduction: { site: "south", limits, deflate: false, parts: false },
    certificateNames: setup.dialingNames,
    ...(setup.versions === undefined ? {} : { versions: setup.versions }),
  });
  return { dialing, accepting, begun: () => begun };
}

/** Runs it to the end. @returns the messages; throws what a side throws */
function run(dialing: Handshake, accepting: Handshake): Buffer[] {
  const messages: Buffer[] = [];
  let next: Buffer | undefined = dialing.first;
  for (let to: Handshake = accepting; next !== undefined; to = to === accepting ? dialing : accepting) {
    messages.push(next);
    next = to.receive(next);
  }
  return messages;
}

describe("the handshake", () => {
  it("ends with the same session on both sides, and never sends the secret", () => {
    const { dialing, accepting, begun } = setUp();
    const messages = run(dialing, accepting);
    expect(messages.map((message) => decodeSingle(message)[0])).toEqual([1, 1, 2, 3, 4]);
    expect(dialing.established).toMatchObject({ session, resumed: false, received: 0 });
    expect(accepting.established).toMatchObject({ session, resumed: false, received: 0 });
    expect(dialing.established!.terms).toEqual({
      ...{
        version: [1, 0],
        deflate: true,
        peerWindow: 300_000,
        peerPayload: 0,
        peerChannels: 256,
        graceMs: 7000,
      },
    });
    expect(begun()).toMatchObject({ peerWindow: 1 << 20, peerPayload: 1 << 27, graceMs: 7000 });
    expect(Buffer.concat(messages).includes(SECRET)).toBe(false);
  });

  it("resumes: each side hears what the other has received", () => {
    const { dialing, accepting } = setUp({ resume: 33 });
    run(dialing, accepting);
    expect(dialing.established).toMatchObject({ resumed: true, received: 44 });
    expect(accepting.established).toMatchObject({ resumed: true, received: 33 });
  });

  const refused = (setup: Setup): unknown => {
    const { dialing, accepting } = setUp(setup);
    try {
      run(dialing, accepting);
      return "established";
    } catch (error) {
      return (error as { code?: string }).code;
    } finally {
      expect(accepting.established === undefined || dialing.established !== undefined).toBe(true);
    }
  };

  it.each<[string, Setup, string]>([
    ["a wrong secret", { dialing: secret("another secret of 16 bytes") }, "TRUNK_AUTHENTICATION"],
    ["a stranger", { known: "west" }, "TRUNK_AUTHENTICATION"],
    ["a site that is not the one that was called", { peer: "west" }, "TRUNK_SITE"],
    [
      "no version in common",
      {
        offered: [
          [3, 1],
          [2, 0],
        ],
      },
      "TRUNK_VERSION",
    ],
    ["an accepting site that is too old", { versions: [[2, 0]] }, "TRUNK_VERSION"],
    [
      "no secret on the accepting side",
      { accepting: { secret: undefined, certificate: true } },
      "TRUNK_AUTHENTICATION",
    ],
    [
      "no secret on the dialing side",
      { dialing: { secret: undefined, certificate: true } },
      "TRUNK_AUTHENTICATION",
    ],
    [
      "a certificate of another site",
      { accepting: { ...secret(), certificate: true }, dialingNames: ["west"] },
      "TRUNK_AUTHENTICATION",
    ],
    [
      "no certificate of the accepting site",
      { dialing: { ...secret(), certificate: true } },
      "TRUNK_AUTHENTICATION",
    ],
  ])("refuses %s", (_what, setup, code) => {
    expect(refused(setup)).toBe(code);
  });

  it("takes certificates in place of a secret", () => {
    const certificate = { secret: undefined, certificate: true };
    const names = { dialingNames: ["north"], acceptingNames: ["other", "south"] };
    expect(refused({ dialing: certificate, accepting: certificate, ...names })).toBe("established");
  });

  it("chooses the highest version that both speak, with the lower minor number", () => {
    const { dialing, accepting } = setUp({
      offered: [
        [1, 0],
        [2, 7],
        [9, 9],
      ],
      versions: [
        [1, 3],
        [2, 4],
      ],
    });
    run(dialing, accepting);
    expect(accepting.established!.terms.version).toEqual([2, 4]);
    expect(dialing.established!.terms.version).toEqual([2, 4]);
  });

  it("a proof is worth nothing to anybody else: not in another handshake, not by the other side", () => {
    const first = setUp();
    const [, , proof] = run(first.dialing, first.accepting);
    const second = setUp();
    second.accepting.receive(second.dialing.first);
    expect(() => second.accepting.receive(proof!)).toThrow(
      expect.objectContaining({ code: "TRUNK_AUTHENTICATION" }),
    );
    const key = Buffer.from(SECRET);
    const transcript = { dialing: Buffer.from("a"), accepting: Buffer.from("b") };
    const proofs = [
      dialingProof(key, transcript),
      dialingProof(key, { dialing: Buffer.from("ab"), accepting: Buffer.alloc(0) }),
      acceptingProof(key, transcript, { session, resumed: false, received: 0 }),
      acceptingProof(key, transcript, { session, resumed: true, received: 0 }),
      acceptingProof(key, transcript, { session, resumed: true, received: 1 }),
    ].map((one) => one.toString("hex"));
    expect(new Set(proofs).size).toBe(5);
  });

  it("finds out when someone on the way changes a hello or the welcome", () => {
    const { dialing, accepting } = setUp();
    const hello = decodeHello(decodeSingle(dialing.first));
    // "no deflating, please", in another's name
    const changed = encodeMessage(KIND.HELLO, { ...hello, resume: undefined, deflate: false });
    const answer = accepting.receive(changed)!;
    const proof = dialing.receive(answer);
    expect(() => accepting.receive(proof)).toThrow(expect.objectContaining({ code: "TRUNK_AUTHENTICATION" }));

    const other = setUp();
    const welcome = other.accepting.receive(
      other.dialing.receive(other.accepting.receive(other.dialing.first)!),
    )!;
    const [kind, , resumed, received, given] = decodeSingle(welcome);
    expect(() =>
      other.dialing.receive(encodeMessage(kind, Buffer.alloc(16, 8), resumed, received, given)),
    ).toThrow(expect.objectContaining({ code: "TRUNK_AUTHENTICATION" }));
  });

  it("takes nothing but the next step", () => {
    const hostile = [
      ...[Buffer.alloc(0), Buffer.from([0xc1]), Buffer.alloc(5000, 0x91), encodeMessage(KIND.READY)],
      ...[encodeMessage(KIND.HELLO), encodeMessage(KIND.HELLO, 5), encodeMessage(KIND.HELLO, {})],
      ...[encodeMessage(KIND.WELCOME, session, true, 1, session), encodeMessage(KIND.DATA, 1, 0, 0, session)],
      Buffer.concat([encodeMessage(KIND.PROOF, session), encodeMessage(KIND.READY)]),
      ...[Buffer.from([0xdc, 0xff, 0xff]), Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff])],
    ];
    for (const message of hostile) {
      const { dialing, accepting } = setUp();
      expect(() => accepting.receive(message)).toThrow(expect.objectContaining({ code: "TRUNK_PROTOCOL" }));
      expect(() => dialing.receive(message)).toThrow(expect.objectContaining({ code: "TRUNK_PROTOCOL" }));
      const second = setUp().accepting;
      second.receive(setUp().dialing.first);
      expect(() => second.receive(message)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^TRUNK_/) }),
      );
    }
  });

  it("hears why it was refused, but not just any words", () => {
    const said = (code: string, text: string): unknown => {
      try {
        setUp().dialing.receive(encodeMessage(KIND.GOODBYE, code, text));
        return undefined;
      } catch (error) {
        return error;
      }
    };
    expect(said("TRUNK_VERSION", "Upgrade.")).toMatchObject({
      code: "TRUNK_VERSION",
      message: "The far site ended the trunk: Upgrade.",
    });
    expect(said("LEASE_LOST", "a\nb")).toMatchObject({
      code: "TRUNK_CLOSED",
      message: "The far site ended the trunk: something unreadable",
    });
  });
});

describe("a trunk with a peer that does not fit", () => {
  it("tells both sides why, and keeps trying", async () => {
    const sites = new TwoSites({ secret: "another secret, also long" });
    await sites.pass(5000);
    expect([sites.north.lines, sites.south.lines]).toEqual([[], []]);
    expect(sites.acceptor.refused.get("TRUNK_AUTHENTICATION")).toBeGreaterThan(2);
  });

  it("gives up a handshake that does not end", async () => {
    const sites = new TwoSites();
    await sites.microtasks();
    const stuck = sites.cable!;
    stuck.settle = () => undefined;
    await sites.pass(10_000, 1000);
    expect([stuck.dialing.closed, stuck.accepting.closed]).toEqual([true, true]);
    expect(sites.acceptor.refused.get("TRUNK_UNREACHABLE")).toBe(1);
    await sites.pass(1000);
    expect(sites.north.lines).toEqual(["up"]);
  });

  it.each([
    ["a short secret", { secret: "short" }],
    ["neither secret nor certificate", { secret: undefined }],
    ["a bad limit", { limits: { windowBytes: 5 } }],
    ["its own name", { peer: "north" }],
    ["no name", { peer: "" }],
    ["no way", { open: [] }],
  ])("does not begin with %s", (_what, options) => {
    expect(() => new TwoSites(options as object)).toThrow(
      expect.objectContaining({ code: "TRUNK_OPTIONS_INVALID" }),
    );
  });
});

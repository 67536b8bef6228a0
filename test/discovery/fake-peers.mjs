// Many Erlang nodes that can do no more than a handshake and ticks, in one process: each has a port of its own.
// It prints one line of JSON, { control, ports }, and obeys the lines that come to the control port:
//   drop FROM TO    ends the connections of these nodes
//   connected       tells how many nodes have exactly one connection, and how many have any
import { createHash } from "node:crypto";
import { createServer } from "node:net";

const [, , count, cookie] = process.argv;
const HOST = "127.0.0.1";
/** The flags of an OTP 25. */
const FLAGS = 0xd07df7fbdn;

/** @param {number} challenge */
const digest = (challenge) => createHash("md5").update(`${cookie}${challenge}`).digest();

/** @param {import("node:net").Socket} socket @param {Buffer} message */
function send(socket, message) {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  socket.write(Buffer.concat([length, message]));
}

/** @param {string} name @param {number} challenge */
function challengeOf(name, challenge) {
  const message = Buffer.alloc(19 + name.length);
  message.write("N");
  message.writeBigUInt64BE(FLAGS, 1);
  message.writeUInt32BE(challenge, 9);
  message.writeUInt32BE(4711, 13);
  message.writeUInt16BE(name.length, 17);
  message.write(name, 19);
  return message;
}

/**
 * The acceptor's side of the handshake, then ticks for ticks.
 * @param {import("node:net").Socket} socket @param {string} name @param {() => void} up
 */
function serve(socket, name, up) {
  const challenge = Math.floor(Math.random() * 2 ** 32);
  let step = "name";
  let buffer = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    if (step === "up") {
      // whatever comes may be a tick: a tick back tells that we live
      socket.write(Buffer.alloc(4));
      return;
    }
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
      const message = buffer.subarray(2, 2 + buffer.readUInt16BE(0));
      buffer = buffer.subarray(2 + message.length);
      if (step === "name" && message[0] === 0x4e) {
        send(socket, Buffer.from("sok"));
        send(socket, challengeOf(name, challenge));
        step = "reply";
      } else if (step === "reply" && message[0] === 0x72 && message.subarray(5).equals(digest(challenge))) {
        send(socket, Buffer.concat([Buffer.from("a"), digest(message.readUInt32BE(1))]));
        step = "up";
        up();
      } else socket.destroy();
    }
  });
}

/** @type {Set<import("node:net").Socket>[]} */
const connections = [];
const listening = Array.from({ length: Number(count) }, (_, n) => {
  const own = new Set();
  connections.push(own);
  const server = createServer((socket) => {
    serve(socket, `app${n}@${HOST}`, () => own.add(socket));
    socket.on("close", () => own.delete(socket));
  });
  return new Promise((resolve) => server.listen(0, HOST, () => resolve(server.address().port)));
});

const control = createServer((socket) => {
  socket.setEncoding("utf8").on("data", (line) => {
    const [verb, from, to] = String(line).trim().split(" ");
    if (verb === "drop")
      for (const own of connections.slice(Number(from), Number(to))) for (const one of own) one.destroy();
    const sizes = connections.map((own) => own.size);
    const answer = { one: sizes.filter((size) => size === 1).length, any: sizes.filter(Boolean).length };
    socket.write(`${JSON.stringify(answer)}\n`);
  });
  socket.on("error", () => socket.destroy());
});
control.listen(0, HOST, async () => {
  const ports = await Promise.all(listening);
  process.stdout.write(`${JSON.stringify({ control: control.address().port, ports })}\n`);
});

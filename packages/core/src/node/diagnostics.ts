import { channel } from "node:diagnostics_channel";

// What happens to connections, on `node:diagnostics_channel`, for those who watch a program from outside. Without a
// subscriber nothing is made. Each message has `node`, our name, and `peer`.

/** `{ node, peer, hidden, creation }`: a connection is up. */
export const nodeUp = channel("isthmus.node.up");
/** `{ node, peer, hidden, reason }`: it was lost or closed; `reason` is an IsthmusError. */
export const nodeDown = channel("isthmus.node.down");
/** `{ node, peer, error }`: an attempt of ours to connect failed. */
export const connectFailed = channel("isthmus.node.connect_failed");
/** `{ node, peer, address, error }`: a connection to us was refused; `peer` is undefined before it said its name. */
export const acceptFailed = channel("isthmus.node.accept_failed");
/** `{ node, lateMs }`: the event loop was held up, so that ticks went out late. */
export const loopLate = channel("isthmus.node.loop_late");

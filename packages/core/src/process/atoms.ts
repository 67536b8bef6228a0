import { atom } from "@isthmus/etf";

// Atoms that the rules of processes are made of.

export const EXIT = atom("EXIT");
export const DOWN = atom("DOWN");
export const PROCESS = atom("process");
export const NODEDOWN = atom("nodedown");
export const NORMAL = atom("normal");
export const KILL = atom("kill");
export const KILLED = atom("killed");
export const NOPROC = atom("noproc");
export const NOCONNECTION = atom("noconnection");
export const NOCATCH = atom("nocatch");
export const SHUTDOWN = atom("shutdown");
export const JS_ERROR = atom("js_error");
export const MAILBOX_FULL = atom("mailbox_full");
export const ALIAS = atom("alias");
export const OK = atom("ok");
export const ERROR = atom("error");
export const UNDEF = atom("undef");

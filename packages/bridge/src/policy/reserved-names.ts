/**
 * Registered processes of OTP itself (kernel and stdlib, OTP 23 to 29). Whoever may send to one of them can, in one
 * way or another, take over its node. No pattern means them: a rule or a route has to write such a name out.
 */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  "init",
  "erl_prim_loader",
  "erl_signal_server",
  "erts_code_purger",
  "application_controller",
  "code_server",
  "kernel_sup",
  "kernel_safe_sup",
  "kernel_refc",
  "rex",
  "net_kernel",
  "net_sup",
  "auth",
  "erl_epmd",
  "erl_distribution",
  "global_group",
  "global_group_check",
  "global_name_server",
  "inet_db",
  "inet_gethost_native",
  "inet_gethost_native_sup",
  "socket_registry",
  "file_server_2",
  "disk_log_server",
  "disk_log_sup",
  "dets",
  "dets_sup",
  "dist_ac",
  "user",
  "user_drv",
  "user_drv_reader",
  "user_drv_writer",
  "user_sup",
  "standard_error",
  "standard_error_sup",
  "standard_error_writer",
  "error_logger",
  "logger",
  "logger_sup",
  "logger_proxy",
  "logger_handler_watcher",
  "logger_std_h_default",
  "logger_disk_log_h_default",
  "timer_server",
  "timer_sup",
  "os_cmd_port_creator",
  "sasl_sup",
  "sasl_safe_sup",
  "release_handler",
  "ddll_server",
  "ssl_manager",
  "elixir_code_server",
  "elixir_config",
  "elixir_sup",
  "Elixir.IEx.Supervisor",
]);

/**
 * No application runs below this number: on a BEAM of OTP 23 to 29 these are the emulator's own processes, `init`,
 * `erl_prim_loader`, `logger`, `application_controller`, `kernel_sup` (49) and `code_server` (50), in all ways to boot,
 * since the kernel is started before anything else. A process with a serial is a later one.
 */
const FIRST_APPLICATION_PID = 51;
/** The process that boots, and afterwards runs what `-eval`, `-s` and escripts say: 9, and 10 since OTP 26. */
const BOOTING = [9, 10] as const;

/**
 * Whether a process is one of OTP's own that can be told by its number. Nodes that are no BEAM number theirs as they
 * like; such nodes are hidden, and of theirs only 0 is told.
 */
export function isKernelPid(id: number, serial: number, hidden: boolean): boolean {
  if (serial !== 0) return false;
  return id === 0 || (!hidden && id < FIRST_APPLICATION_PID && id !== BOOTING[0] && id !== BOOTING[1]);
}

/** Whether a process may be `erl_prim_loader` (until OTP 25), or the one that booted (since): what it is sent decides. */
export function mayBeLoader(id: number, serial: number): boolean {
  return serial === 0 && id === BOOTING[1];
}

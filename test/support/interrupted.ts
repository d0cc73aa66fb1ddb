/** What a test file does when a signal ends its process, which runs no hooks then. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Removes what the tests made, however far they came, and ends the process as one that was interrupted. */
export function whenInterrupted(remove: () => Promise<unknown>): void {
  let interruptions = 0;
  const interrupted = () => {
    // The runner is gone by then, and whoever reads what is still reported.
    for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined);
    interruptions += 1;
    if (interruptions === 1) void remove().finally(() => process.exit(130));
  };
  // Every time: the runner sends one more to a process that got the first with its whole group, and that would end it in the middle.
  for (const signal of SIGNALS) process.on(signal, interrupted);
}

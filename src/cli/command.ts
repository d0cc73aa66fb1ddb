/** A command of `docker-router`, in a file of its own that is read only when the command is called. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

export interface CommandModule {
  /** Runs the command with the words behind its name. Resolves to the exit status; nothing or 0 is success. */
  main(args: readonly string[]): Promise<number | undefined>;
}

/** Exit status of wrong words on the command line (sysexits.h: EX_USAGE). */
export const EXIT_USAGE = 64;

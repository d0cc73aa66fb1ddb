/** Command line of the benchmark. Pure. */

export const SECTIONS = ['control', 'data'] as const;
export type Section = (typeof SECTIONS)[number];

export interface Options {
  readonly quick: boolean;
  readonly sections: readonly Section[];
  /** Only rows whose id begins with one of these; all when empty. */
  readonly only: readonly string[];
  readonly json: string | undefined;
  readonly table: string | undefined;
  readonly plots: string | undefined;
  readonly help: boolean;
}

export const USAGE = `Usage: scripts/bench.sh [--quick] [--json FILE] [--table FILE] [--plots FOLDER] [--only PREFIX,...] [control] [data]

  control        what the two daemons cost: needs root, no Docker
  data           what a packet costs, against Docker Swarm's overlay: two hosts in the lab (docs/lab.md)
  --quick        fewer rounds, and no rows with br_netfilter on: five minutes in all where nothing else runs
  --json FILE    every single measurement
  --table FILE   the table as Markdown
  --plots FOLDER how the cost grows, as SVG
  --only PREFIX  only the rows whose id begins so: --only program,data.flow

Prints ratios measured in one run. The machine's other work shows in every absolute number, and in both sides of a ratio.
`;

const VALUES = { '--json': 'json', '--table': 'table', '--plots': 'plots', '--only': 'only' } as const;

/** @throws Error naming the argument that is not understood. */
export function parseOptions(args: readonly string[]): Options {
  const values: { json?: string; table?: string; plots?: string; only?: string } = {};
  const sections: Section[] = [];
  let quick = false;
  let help = false;
  for (let i = 0; i < args.length; i += 1) {
    const argument = args[i]!;
    if (argument === '--quick') quick = true;
    else if (argument === '--help' || argument === '-h') help = true;
    else if (argument in VALUES) {
      const value = args[++i];
      if (value === undefined) throw new Error(`${argument} needs a value`);
      values[VALUES[argument as keyof typeof VALUES]] = value;
    } else if (SECTIONS.includes(argument as Section)) sections.push(argument as Section);
    else throw new Error(`no such argument: ${argument}`);
  }
  return {
    quick,
    help,
    sections: sections.length > 0 ? sections : SECTIONS,
    only: values.only?.split(',') ?? [],
    json: values.json,
    table: values.table,
    plots: values.plots,
  };
}

export function wanted(only: readonly string[], id: string): boolean {
  return only.length === 0 || only.some((prefix) => id.startsWith(prefix) || prefix.startsWith(`${id}.`));
}

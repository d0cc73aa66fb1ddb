/** The command line of `docker-router init`. */
import { parseArgs } from 'node:util';
import { stackId, subnet, vni } from '../../config/parsers.ts';
import { integer } from '../../config/variables.ts';

export const HELP = `docker-router init: writes the file that connects your stack, next to your compose file

Usage: docker-router init [OPTIONS]
       docker run --rm --network host -v "$PWD:/project" docker-router init [OPTIONS]

It reads your compose file and never changes it, finds a subnet that nobody uses, and writes an override file that
Compose picks up by itself (or, where you have one already, another file and the -f line that goes with it).
With --network host it sees the host's routes and asks the other stacks which subnets they use.
Run again it brings its own file up to date, and changes nothing when there is nothing to change.

  -n, --dry-run            show what would be written, write nothing
  -f, --file FILE          your compose file, several times for several (default: as Compose finds them)
  -p, --project-name NAME  name of the project (default: as Compose finds it)
      --project-directory FOLDER
                           where the files are (default: here; in the image: /project)
      --network NAME       the network that the router joins (default: the one most services go out by)
      --subnet SUBNET      such as 172.30.0.0/24 (default: a free one)
      --stack-id ID        name of the stack among the others (default: the project's name)
      --vni NUMBER         number of the network of stacks (default: that of the stacks heard, or 1000)
      --mtu NUMBER         MTU of the stack's network (default: the host's less 50)
      --no-dns             leave the services' name servers as they are
      --listen SECONDS     how long to listen for other stacks, 0 not at all (default: 1)
      --force              replace our file even if it was edited by hand
`;

const OPTIONS = {
  'dry-run': { type: 'boolean', short: 'n' },
  file: { type: 'string', short: 'f', multiple: true },
  'project-name': { type: 'string', short: 'p' },
  'project-directory': { type: 'string' },
  network: { type: 'string' },
  subnet: { type: 'string' },
  'stack-id': { type: 'string' },
  vni: { type: 'string' },
  mtu: { type: 'string' },
  'no-dns': { type: 'boolean' },
  listen: { type: 'string' },
  force: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export class UsageError extends Error {}

export interface Options {
  readonly dryRun: boolean;
  readonly files: readonly string[];
  readonly projectName?: string;
  readonly folder?: string;
  readonly network?: string;
  readonly subnet?: string;
  readonly stackId?: string;
  readonly vni?: number;
  readonly mtu?: number;
  readonly dns: boolean;
  readonly listenMs: number;
  readonly force: boolean;
}

const listenSeconds = integer(0, 60);

/** Undefined when help was asked for. @throws UsageError */
export function readOptions(args: readonly string[]): Options | undefined {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(args));
  } catch (cause) {
    throw new UsageError((cause as Error).message);
  }
  if (values.help) return undefined;
  const checked = <T>(
    name: 'subnet' | 'stack-id' | 'vni' | 'mtu' | 'listen',
    check: (text: string) => T,
  ): T | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    try {
      return check(text);
    } catch (cause) {
      throw new UsageError(`--${name} ${(cause as Error).message}, but is ${JSON.stringify(text.slice(0, 60))}`);
    }
  };
  return {
    dryRun: values['dry-run'] ?? false,
    files: values.file ?? [],
    projectName: values['project-name'],
    folder: values['project-directory'],
    network: values.network,
    subnet: checked('subnet', subnet),
    stackId: checked('stack-id', stackId),
    vni: checked('vni', vni),
    mtu: checked('mtu', integer(576, 65_485)),
    dns: !values['no-dns'],
    listenMs: (checked('listen', listenSeconds) ?? 1) * 1000,
    force: values.force ?? false,
  };
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false });
}

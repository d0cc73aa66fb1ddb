/** What a run says besides its progress: the picture, what failed, what to try. Pure. */
import { inside } from './namespaces.ts';
import { measureCommand, type Outcome, type Path, PROBE_PORT } from './paths.ts';
import { hostAddress, hostNamespace, routerNamespace, serviceNamespace, type Topology } from './topology.ts';

export interface PathResult {
  readonly path: Path;
  readonly outcome: Outcome;
}

export interface LogExcerpt {
  readonly path: string;
  readonly lines: readonly string[];
}

/** Hosts and what is on them, a line each. */
export function pictureLines(topology: Topology): string[] {
  return topology.hosts.map((host) => {
    const stacks = topology.stacks.filter((stack) => stack.host === host);
    const list = stacks.map(({ name, subnet }) => `${name} ${subnet}`).join('   ');
    return `      ${host}  ${hostAddress(topology, host)}   ${list}`;
  });
}

/** The stacks that every failed path has at an end, since one of them is the likely culprit; without such, all that fail. */
export function concerned(results: readonly PathResult[]): string[] {
  const failed = results.flatMap(({ path: { from, to }, outcome }) => (outcome.ok ? [] : [[from.stack, to.stack]]));
  const all = [...new Set(failed.flat())];
  const common = all.filter((stack) => failed.every((ends) => ends.includes(stack)));
  return common.length > 0 ? common : all;
}

/** What a person needs who has to find out why. */
export function failureLines(
  results: readonly PathResult[],
  notReady: readonly string[],
  excerpts: readonly LogExcerpt[],
): string[] {
  const failed = results.flatMap(({ path: { from, to }, outcome }) =>
    outcome.ok ? [] : [`  ${from.stack} does not reach ${to.stack} at ${to.address}: ${outcome.error}`],
  );
  return [
    'What failed:',
    ...failed,
    ...notReady.map((text) => `  ${text}`),
    ...excerpts.flatMap(({ path, lines }) => ['', `Last lines of ${path}:`, ...lines.map((line) => `  ${line}`)]),
  ];
}

/** A comment and a command that can be pasted. */
type Hint = readonly [comment: string, command: string];

function hints(topology: Topology, path: Path, files: { volume: string; logs: string }): Hint[] {
  const [from, to] = [path.from.stack, path.to.stack];
  const stack = topology.stacks.find(({ name }) => name === from)!;
  const router = routerNamespace(topology, stack);
  const command = (namespace: string, ...argv: string[]) => inside(namespace, argv).join(' ');
  const service = serviceNamespace(topology, stack);
  const url = `http://${path.to.address}:${PROBE_PORT}/`;
  return [
    [`a shell in the service of ${from}`, command(service, 'bash')],
    [`${from} to ${to} alone, as in the table`, measureCommand(topology.prefix, path).join(' ')],
    ['the same with curl, if it is installed', command(service, 'curl', url)],
    [`what ${from} knows of the others`, `cat ${files.volume}/discovery.json`],
    ['the routes that its router made of it', `ip -n ${router} route`],
    [
      `packets on the wire of ${stack.host}, if tcpdump is installed`,
      command(hostNamespace(topology, stack.host), 'tcpdump', '-ni', 'eth0', 'udp'),
    ],
    [
      'delete the tunnel, see with --check what breaks, and that its router mends it within 30 s',
      `ip -n ${router} link delete vxlan0`,
    ],
    ['all daemons at work', `tail -f ${files.logs}/*.log`],
    ['every path again', './scripts/quickstart.sh --check'],
    ['the end of it', './scripts/quickstart.sh --down'],
  ];
}

/** What to try while it is up. */
export function hintLines(topology: Topology, path: Path, files: { volume: string; logs: string }): string[] {
  const pasted = hints(topology, path, files).flatMap(([comment, line]) => [`  # ${comment}`, `  ${line}`]);
  return ['It stays up (--keep). Try, as root:', '', ...pasted];
}

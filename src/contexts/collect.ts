/** What somebody needs who looks for the reason of a failure: logs and state of the hosts concerned, in one folder. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command } from './command.ts';
import type { Host } from './host.ts';
import { containerOf, type Stack, stateFile } from './stack-life.ts';

const WITHIN_MS = 10_000;
const LOG_LINES = '2000';
/** What the kernel of the router's namespace holds. */
const KERNEL_STATE =
  'for c in "ip -s -d address" "ip -4 route" "ip neighbour" "bridge fdb" "nft list ruleset"; do echo "== $c"; $c; done 2>&1';

type Part = readonly [name: string, work: () => Promise<string>];

/** Both streams: logs come on either. */
async function said(host: Host, args: readonly string[]): Promise<string> {
  const { signal, environment } = host;
  const { stdout, stderr } = await command(host.argv(args), { withinMs: WITHIN_MS, signal, environment });
  return `${stdout}${stderr}`;
}

function partsOf(stack: Stack): Part[] {
  const { host, facts, project } = stack;
  const router = containerOf(stack, facts.routerService);
  const discovery = containerOf(stack, facts.discoveryService);
  for (const container of [router, discovery]) container.catch(() => undefined);
  const log = (container: Promise<string>) => async () =>
    said(host, ['logs', '--timestamps', '--tail', LOG_LINES, await container]);
  return [
    ['discovery.json', async () => stateFile(host, await router, 'discovery.json')],
    ['router.json', async () => stateFile(host, await router, 'router.json')],
    ['discovery.log', log(discovery)],
    ['router.log', log(router)],
    ['router-kernel.txt', async () => said(host, ['exec', await router, 'sh', '-c', KERNEL_STATE])],
    [
      'containers.txt',
      () => said(host, ['ps', '--all', '--no-trunc', '--filter', `label=com.docker.compose.project=${project}`]),
    ],
    ['engine.txt', () => said(host, ['info'])],
  ];
}

async function collectStack(folder: string, stack: Stack): Promise<void> {
  await mkdir(folder);
  await Promise.all(
    partsOf(stack).map(async ([name, work]) => {
      const text = await work().catch((cause: Error) => `could not be fetched: ${cause.message}\n`);
      await writeFile(join(folder, name), text);
    }),
  );
}

/** Writes the folder and returns its path. A host that does not answer is named in its files. */
export async function collect(stacks: readonly Stack[], report: string): Promise<string> {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  const folder = await mkdtemp(join(tmpdir(), `docker-router-${time}-`));
  await writeFile(join(folder, 'report.txt'), report);
  await Promise.all(stacks.map((stack) => collectStack(join(folder, stack.host.name), stack)));
  return folder;
}

/** What init can find out about the host it runs on, from the host itself or from a container on it. */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import * as v from 'valibot';
import { interfaceMtu } from '../../discovery/host.ts';
import { isHostAddress, parseIpv4, parsePrefix, prefixOf } from '../../net/ipv4.ts';
import { run } from '../../process/run.ts';
import { PrefixSchema, parseJson, StackIdSchema, SubnetsSchema } from '../../record/record.ts';
import { readCapped } from '../../state/atomic-file.ts';
import { MAX_DISCOVERY_BYTES } from '../../state/discovery-file.ts';
import type { Taken } from './choose-subnet.ts';

const DOCKER_MS = 5000;
const DEFAULT_MTU = 1500;

/** The words of one file, or none where it cannot be read. */
async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/**
 * Whether the interfaces here are the host's. In a container's own namespace there is `lo` and ends of veth pairs, of which the other
 * end lies elsewhere: its number (iflink) is not the interface's own.
 */
export async function seesHost(): Promise<boolean> {
  const inContainer = (await text('/.dockerenv').then(() => readdir('/'))).includes('.dockerenv');
  if (!inContainer) return true;
  const names = (await readdir('/sys/class/net')).filter((name) => name !== 'lo');
  const own = await Promise.all(
    names.map(async (name) => {
      const [index, link] = await Promise.all(
        ['ifindex', 'iflink'].map((file) => text(`/sys/class/net/${name}/${file}`)),
      );
      return index !== '' && index === link;
    }),
  );
  return own.includes(true);
}

const RouteRow = v.object({ dst: v.string(), dev: v.optional(v.string()), type: v.optional(v.string()) });
const NOT_A_NETWORK = new Set(['local', 'broadcast', 'multicast', 'anycast']);

/** Rows of `ip -j -4 route show table all` -> what they lead to; the default route leads everywhere and says nothing. */
export function parseRoutes(json: string): { taken: Taken[]; defaultDevice?: string } {
  const rows = v.parse(v.array(v.unknown()), JSON.parse(json || '[]'));
  const taken: Taken[] = [];
  let defaultDevice: string | undefined;
  for (const row of rows) {
    const parsed = v.safeParse(RouteRow, row);
    if (!parsed.success || NOT_A_NETWORK.has(parsed.output.type ?? '')) continue;
    const { dst, dev } = parsed.output;
    if (dst === 'default') defaultDevice ??= dev;
    const prefix = parsePrefix(dst.includes('/') ? dst : `${dst}/32`);
    if (prefix && prefix.length > 0) taken.push({ prefix, by: `a route of this host (${dev ?? 'no device'})` });
  }
  return { taken, ...(defaultDevice && { defaultDevice }) };
}

/** /proc/net/route, for hosts without iproute2: addresses are hexadecimal, in the byte order of the processor (little-endian on all that we build for). */
export function parseProcRoutes(table: string): { taken: Taken[]; defaultDevice?: string } {
  const swapped = (hex: string) => Buffer.from(hex, 'hex').reverse().readUInt32BE();
  const taken: Taken[] = [];
  let defaultDevice: string | undefined;
  for (const line of table.trim().split('\n').slice(1)) {
    const [dev, destination = '', , , , , , mask = ''] = line.trim().split(/\s+/);
    if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask)) continue;
    const length = swapped(mask).toString(2).replaceAll('0', '').length;
    if (length === 0) defaultDevice ??= dev;
    else taken.push({ prefix: prefixOf(swapped(destination), length), by: `a route of this host (${dev})` });
  }
  return { taken, ...(defaultDevice && { defaultDevice }) };
}

/** Routes of the host, and the MTU of the interface that its default route uses. */
export async function hostRoutes(): Promise<{ taken: Taken[]; mtu: number }> {
  const listing = await run(['ip', '-4', '-j', 'route', 'show', 'table', 'all'])
    .then(({ code, stdout }) => (code === 0 ? parseRoutes(stdout) : undefined))
    .catch(() => undefined);
  const { taken, defaultDevice } = listing ?? parseProcRoutes(await text('/proc/net/route'));
  const mtu = defaultDevice === undefined ? undefined : await interfaceMtu(defaultDevice);
  return { taken, mtu: mtu || DEFAULT_MTU };
}

const DockerNetworks = v.array(
  v.object({
    Name: v.string(),
    Labels: v.nullish(v.record(v.string(), v.string())),
    IPAM: v.object({ Config: v.nullish(v.array(v.object({ Subnet: v.string() }))) }),
  }),
);

/** Subnets of Docker's networks, those without a route as well; empty where there is no docker command. `project`: this project's own do not count. */
export async function dockerNetworks(project: string): Promise<Taken[]> {
  try {
    const list = await run(['docker', 'network', 'ls', '-q'], '', DOCKER_MS);
    const ids = list.stdout.split('\n').filter((id) => /^[0-9a-z]+$/.test(id));
    if (list.code !== 0 || ids.length === 0) return [];
    const { stdout } = await run(['docker', 'network', 'inspect', ...ids], '', DOCKER_MS);
    return v.parse(DockerNetworks, JSON.parse(stdout)).flatMap(({ Name, Labels, IPAM }) => {
      if (Labels?.['com.docker.compose.project'] === project) return [];
      const prefixes = (IPAM.Config ?? []).map(({ Subnet }) => parsePrefix(Subnet));
      return prefixes.flatMap((prefix) => (prefix ? [{ prefix, by: `the Docker network ${Name}` }] : []));
    });
  } catch {
    return [];
  }
}

/** The second is where systemd-resolved keeps the servers that it asks, when the first names only itself. Docker reads it then as well. */
const RESOLV_CONFS = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

/** The host's name servers that a container can reach as well; a loopback address is another host's to each of them. */
export async function nameServers(paths: readonly string[] = RESOLV_CONFS): Promise<string[]> {
  for (const path of paths) {
    const named = [...(await text(path)).matchAll(/^nameserver\s+([0-9.]+)\s*$/gm)].map(([, server]) => server!);
    const found = named.filter((server) => isHostAddress(parseIpv4(server) ?? 0));
    if (found.length > 0) return found;
  }
  return [];
}

/** Around each name server that is in a private network lies a network of which the host may have no route of its own. */
export function networksOf(servers: readonly string[]): Taken[] {
  return servers.map((server) => ({
    prefix: prefixOf(parseIpv4(server)!, 16),
    by: `the network of name server ${server}`,
  }));
}

const SeenFile = v.object({
  peers: v.array(v.object({ stack_id: StackIdSchema, subnets: v.fallback(SubnetsSchema, []) })),
});

/** Subnets in a discovery.json that is visible here, which knows stacks that multicast does not reach. */
export async function subnetsIn(path: string): Promise<{ stack: string; subnet: string }[]> {
  const json = await readCapped(path, MAX_DISCOVERY_BYTES).catch(() => undefined);
  const parsed = parseJson(SeenFile, json ?? '', MAX_DISCOVERY_BYTES);
  if (!parsed.ok) return [];
  return parsed.value.peers.flatMap(({ stack_id, subnets }) => subnets.map((subnet) => ({ stack: stack_id, subnet })));
}

/** A stack's subnets as taken ones. */
export function takenBy(stack: string, subnets: readonly string[]): Taken[] {
  return subnets.flatMap((subnet) => {
    const prefix = v.is(PrefixSchema, subnet) ? parsePrefix(subnet) : undefined;
    return prefix ? [{ prefix, by: `stack ${stack}` }] : [];
  });
}

/**
 * Name of the folder on the host. In a container the path tells nothing (/project), but field 4 of its mount does: the part of the host's
 * file system that is mounted there (proc_pid_mountinfo(5)).
 */
export function folderName(folder: string, mountinfo: string): string {
  for (const line of mountinfo.split('\n')) {
    const [, , , root, point] = line.split(' ');
    if (point === folder && root && root !== '/') return basename(unescaped(root));
  }
  return basename(folder);
}

/** mountinfo writes a space as \040. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}

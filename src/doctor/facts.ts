/** Gathers what the doctor judges: this container, the files of the shared volume, and some packets through the tunnel. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as v from 'valibot';
import { received, receivedFrom } from '../kernel/received.ts';
import { largePacketsPass } from '../probe/large.ts';
import { run } from '../process/run.ts';
import { type Parsed, parseJson } from '../record/record.ts';
import { type DiscoveryInput, parseDiscovery } from '../router/discovery-input.ts';
import { forwardingProblem, hasNetAdmin } from '../router/preflight.ts';
import { handlePresent } from '../router/vxlan-device.ts';
import { readCapped } from '../state/atomic-file.ts';
import { MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import { MAX_ROUTER_BYTES, RouterFileSchema } from '../state/router-file.ts';
import { MAX_STATUS_BYTES, StatusFileSchema } from '../state/status-file.ts';
import { type StatusView, statusView } from '../status/view.ts';
import type { Facts } from './checks.ts';

/** Routers ask each other every ten seconds (PROBE_INTERVAL), so one whose packets arrive is heard within these. */
const LISTEN_MS = 11_000;
/** More are not asked with large packets; the first ones tell. */
const MOST_ASKED = 64;

export type Progress = (text: string) => void;

/** A file that is not there or not understood is itself something to say. */
async function read<T>(
  path: string,
  maxBytes: number,
  parse: (text: string) => Parsed<T>,
  absent: string,
  unread: string[],
): Promise<T | undefined> {
  try {
    const text = await readCapped(path, maxBytes);
    if (text === undefined) {
      if (absent) unread.push(absent);
      return undefined;
    }
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    unread.push(`${path} is not understood (${parsed.error}); do both containers have the same version?`);
  } catch (cause) {
    unread.push(`${path}: ${(cause as Error).message}`);
  }
  return undefined;
}

const json =
  <S extends v.GenericSchema>(schema: S, maxBytes: number) =>
  (text: string): Parsed<v.InferOutput<S>> =>
    parseJson(schema, text, maxBytes);

interface Files {
  readonly discovery: DiscoveryInput | undefined;
  readonly router: v.InferOutput<typeof RouterFileSchema> | undefined;
  readonly view: StatusView | undefined;
  readonly unread: readonly string[];
}

async function files(stateDir: string): Promise<Files> {
  const unread: string[] = [];
  const discovery = await read(
    join(stateDir, 'discovery.json'),
    MAX_DISCOVERY_BYTES,
    parseDiscovery,
    `there is no discovery.json in ${stateDir}; does the discovery service run, with the same volume? docker compose logs discovery`,
    unread,
  );
  const router = await read(
    join(stateDir, 'router.json'),
    MAX_ROUTER_BYTES,
    json(RouterFileSchema, MAX_ROUTER_BYTES),
    `there is no router.json in ${stateDir}; does the router run? docker compose logs router`,
    unread,
  );
  const measured = await read(
    join(stateDir, 'status.json'),
    MAX_STATUS_BYTES,
    json(StatusFileSchema, MAX_STATUS_BYTES),
    '',
    unread,
  );
  const { self, peers = [], sources = {} } = discovery ?? {};
  return { discovery, router, view: self && statusView({ self, peers, sources, router, measured }), unread };
}

/** undefined without vxlan0. */
async function checksumOffload(): Promise<boolean | undefined> {
  const { code, stdout } = await run(['ethtool', '-k', 'vxlan0']).catch(() => ({ code: 1, stdout: '' }));
  return code === 0 ? /^tx-checksumming: on/m.test(stdout) : undefined;
}

/** Asks those that answer small probes. */
async function large({ view, router }: Files, progress: Progress): Promise<Map<string, boolean>> {
  const asked = (view?.peers ?? []).filter(({ condition }) => condition === 'ok').slice(0, MOST_ASKED);
  if (!router?.gateway_ip || !router.mtu || asked.length === 0) return new Map();
  progress(`sending packets of ${router.mtu} bytes to ${asked.length} routers ...`);
  const gateways = asked.map(({ gateway_ip }) => gateway_ip!);
  const passed = await largePacketsPass(router.gateway_ip, gateways, router.mtu);
  return new Map(asked.map(({ stack_id, gateway_ip }) => [stack_id, passed.has(gateway_ip!)]));
}

async function heard({ view, discovery }: Files, progress: Progress): Promise<Set<string>> {
  const silent = (view?.peers ?? []).filter(({ condition }) => condition === 'unreachable');
  if (silent.length === 0) return new Set();
  progress(`listening ${LISTEN_MS / 1000} s for packets of ${silent.map(({ stack_id }) => stack_id).join(', ')} ...`);
  const before = await received();
  await new Promise((resolve) => setTimeout(resolve, LISTEN_MS));
  const after = await received();
  const subnets = new Map((discovery?.peers ?? []).map((peer) => [peer.stack_id, peer.subnets]));
  const count = (counts: typeof before, id: string) => receivedFrom(counts, subnets.get(id) ?? [])?.packets ?? 0;
  const came = (id: string) => count(after, id) > count(before, id);
  return new Set(silent.map(({ stack_id }) => stack_id).filter(came));
}

/** @param progress told what takes longer than a moment */
export async function gather(env: NodeJS.ProcessEnv, progress: Progress): Promise<Facts> {
  const found = await files(env.STATE_DIR ?? '/var/lib/docker-router');
  const handle = env.UNDERLAY_HANDLE ?? '/run/netns/underlay';
  return {
    netAdmin: hasNetAdmin(await readFile('/proc/self/status', 'utf8')),
    handle: { path: handle, present: await handlePresent(handle) },
    underlay: env.UNDERLAY ?? 'auto',
    forwards: (await forwardingProblem()) === undefined,
    router: found.router,
    self: found.discovery?.self,
    peers: found.discovery?.peers ?? [],
    views: found.view?.peers ?? [],
    dropped: found.discovery?.droppedInput ?? {},
    unread: found.unread,
    checksumOffload: await checksumOffload(),
    large: await large(found, progress),
    heard: await heard(found, progress),
  };
}

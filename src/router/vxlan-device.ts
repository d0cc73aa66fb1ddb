/** Creates, adjusts and recreates the overlay device. */
import { stat } from 'node:fs/promises';
import { candidatePorts, type DesiredDevice, incompatible } from '../desired/device.ts';
import type { Link } from '../kernel/observed.ts';
import { VXLAN_DEVICE } from '../kernel/owned.ts';
import { CommandError, run, runOk } from '../process/run.ts';

/** A stopped container's device outlives it for a moment; its port is worth waiting for, since the others know it. */
const PORT_WAIT_MS = 4000;
const PORT_RETRY_MS = 100;
const HANDLE_FOLDER = '/run/netns/';

export interface PortChoice {
  readonly configured: number | 'auto';
  readonly remembered: number | undefined;
  readonly discoveryPort: number;
}

/** Whether the host's network namespace was mounted into the container. A bind mount of it is a file on nsfs; a missing one a folder. */
export async function handlePresent(handle: string): Promise<boolean> {
  return stat(handle).then(
    (found) => found.isFile(),
    () => false,
  );
}

function createLine(want: DesiredDevice, port: number, handle: string): [string, ...string[]] {
  const { vni, mac, mtu, local } = want;
  return [
    'ip',
    'link',
    'add',
    VXLAN_DEVICE,
    // Its socket is opened at once, so that a port that another program holds is found here, where there is another one to try.
    'up',
    'address',
    mac,
    'mtu',
    String(mtu),
    ...(want.underlay === 'host' ? ['link-netns', handle.replace(HANDLE_FOLDER, '')] : []),
    'type',
    'vxlan',
    'id',
    String(vni),
    'dstport',
    String(port),
    'nolearning',
    ...(want.underlay === 'published' ? ['noudpcsum'] : []),
    ...(local === undefined ? [] : ['local', local]),
  ];
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Another VXLAN device with this VNI and port, or another program on the port. */
function portTaken(error: unknown): boolean {
  return error instanceof CommandError && /File exists|already exists|Address already in use/.test(error.stderr);
}

/** An id for the handle's namespace, which lives as long as this one, is needed before a device can be linked to it. */
export async function ensureNamespaceId(handle: string): Promise<void> {
  await run(['ip', 'netns', 'set', handle.replace(HANDLE_FOLDER, ''), 'auto']);
}

async function create(want: DesiredDevice, ports: PortChoice, handle: string): Promise<number> {
  const firstTry = Date.now();
  let last: unknown;
  for (const port of candidatePorts(ports.configured, ports.remembered, ports.discoveryPort)) {
    const patient = port === ports.remembered || port === ports.configured;
    do {
      try {
        await runOk(createLine(want, port, handle));
        return port;
      } catch (cause) {
        if (!portTaken(cause)) throw cause;
        last = cause;
        if (patient) await sleep(PORT_RETRY_MS);
      }
    } while (patient && Date.now() - firstTry < PORT_WAIT_MS);
  }
  throw new Error(`no free UDP port for VXLAN (VXLAN_PORT=${ports.configured}): ${(last as Error).message}`);
}

export interface Ensured {
  readonly changed: boolean;
  /** What was done, for the log. */
  readonly note?: string;
}

/**
 * Makes vxlan0 what it shall be. An existing device is adjusted in place when it can be, since recreating it interrupts traffic.
 * @throws CommandError or Error when the kernel refuses, or no port is free.
 */
export async function ensureDevice(
  want: DesiredDevice,
  existing: Link | undefined,
  ports: PortChoice,
  handle: string,
): Promise<Ensured> {
  const reason = existing && incompatible(existing, want, ports.configured);
  if (existing && reason === undefined) return adjust(want, existing);
  if (existing) await runOk(['ip', 'link', 'delete', 'dev', VXLAN_DEVICE]);
  const port = await create(want, { ...ports, remembered: existing?.vxlan?.port ?? ports.remembered }, handle);
  const why = reason === undefined ? '' : `, replacing one whose ${reason}`;
  return {
    changed: true,
    note: `created ${VXLAN_DEVICE} on the ${want.underlay} underlay, UDP port ${port}, MTU ${want.mtu}${why}`,
  };
}

async function adjust(want: DesiredDevice, existing: Link): Promise<Ensured> {
  const set = [
    ...(existing.mtu === want.mtu ? [] : ['mtu', String(want.mtu)]),
    ...(existing.mac === want.mac ? [] : ['address', want.mac]),
    ...(existing.up ? [] : ['up']),
  ];
  if (set.length === 0) return { changed: false };
  await runOk(['ip', 'link', 'set', 'dev', VXLAN_DEVICE, ...set]);
  return { changed: true, note: `adjusted ${VXLAN_DEVICE}: ${set.join(' ')}` };
}

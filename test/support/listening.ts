/** Four real discoveries find each other under a capture: two with keys, one in clear, one that signs and does not seal. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StackRecord } from '../../src/record/record.ts';
import { DaemonProcess } from '../etcd/daemon-process.ts';
import { removeAtExit } from '../etcd/server.ts';
import { Capture, FIELDS, type Field, inBinary, inClear, whole } from './readable.ts';

const SHOWN_MS = 20_000;

export interface Listening {
  readonly env: (host: string) => NodeJS.ProcessEnv;
  /** Addresses of hosts 1 to 4. */
  readonly hosts: readonly [string, string, string, string];
  /** What of the loopback's traffic is the wire. */
  readonly filter: string;
  /** What docs/security.md says can be read of a sealed record. */
  readonly open: readonly Field[];
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'docker-router-listening-'));
  removeAtExit(path);
  return path;
}

/** What the router of host n would write: no field is one that the others could guess. */
function plane(n: number) {
  const key = () => randomBytes(32).toString('base64');
  return {
    subnets: [`172.2${n}.13.0/24`],
    gateway_ip: `172.2${n}.13.2`,
    vtep_mac: `02:6b:a1:5e:c0:0${n}`,
    vxlan_port: 4789 + n,
    wg_public_key: key(),
    wg_port: 51_820,
    wg_other_public_key: key(),
    wg_other_port: 51_821,
  };
}

class Announcer {
  readonly daemon: DaemonProcess;
  readonly #id: string;
  readonly #plane: ReturnType<typeof plane>;

  constructor(id: string, n: number, env: NodeJS.ProcessEnv) {
    this.#id = id;
    this.#plane = plane(n);
    this.daemon = new DaemonProcess(id, env);
    this.write({});
    this.daemon.start();
  }

  write(changes: object): void {
    const header = { version: 1, last_update: '2024-01-15T10:30:00Z', stack_id: this.#id };
    this.daemon.writeRouter({ ...header, ...this.#plane, ...changes });
  }

  get record(): StackRecord {
    return { ...this.#plane, ...this.daemon.file!.self, seq: 0 };
  }
}

async function shown(capture: Capture, clear: Announcer, signed: Announcer): Promise<void> {
  for (const end = performance.now() + SHOWN_MS; ; await sleep(300)) {
    const all = whole(capture.bytes);
    const seen = {
      clear: clear.daemon.file && inClear(all, clear.record),
      signed: signed.daemon.file && inBinary(all, signed.record),
    };
    if (performance.now() > end)
      assert.deepEqual(seen, { clear: FIELDS, signed: FIELDS }, clear.daemon.log + signed.daemon.log);
    if (seen.clear?.length === FIELDS.length && seen.signed?.length === FIELDS.length) return;
  }
}

/** Announcements, a change and a goodbye: of the sealed ones only `open` can be read, of the others everything. */
export async function nobodyReads({ env, hosts, filter, open }: Listening): Promise<void> {
  const keys = { DISCOVERY_KEYS: randomBytes(32).toString('base64') };
  const capture = await Capture.start(filter);
  const start = (id: string, n: number, trust: NodeJS.ProcessEnv) =>
    new Announcer(id, n, { HOST_IP: hosts[n - 1], LOG_LEVEL: 'debug', ...env(hosts[n - 1]!), ...trust });
  const sealed = [start('sealed-1', 1, keys), start('sealed-2', 2, { ...keys, IDENTITY_DIR: folder() })] as const;
  const clear = start('clear', 3, {});
  const signed = start('signed', 4, { IDENTITY_DIR: folder() });
  try {
    const [one, two] = sealed.map(({ daemon }) => daemon) as [DaemonProcess, DaemonProcess];
    await one.until('1 sees 2', () => one.peer('sealed-2')?.subnets.length === 1);
    await two.until('2 sees 1', () => two.peer('sealed-1')?.subnets.length === 1);
    await shown(capture, clear, signed);
    sealed[1].write({ vxlan_port: 4800 });
    await one.until('the change is heard', () => one.peer('sealed-2')?.vxlan_endpoint?.endsWith(':4800') === true);
    const records = sealed.map(({ record }) => record);
    assert.equal(await two.stop(), 0);
    await one.until('the goodbye is heard', () => one.peer('sealed-2') === undefined);
    const all = whole(await capture.stop());
    for (const record of records) {
      const seen = { text: inClear(all, record), binary: inBinary(all, record) };
      assert.deepEqual(seen, { text: open, binary: [] }, record.stack_id);
    }
    assert.deepEqual([one.file?.peers, two.file?.peers.map(({ stack_id }) => stack_id)], [[], ['sealed-1']]);
  } finally {
    await capture.stop().catch(() => undefined);
    await Promise.all([...sealed, clear, signed].map(({ daemon }) => daemon.stop()));
  }
}

/** What of a stack's record can be read in a capture: each field, in every form that a transport of ours or a server beside it gives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePrefix } from '../../src/net/ipv4.ts';
import { toFlat } from '../../src/record/flat.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { packFlat } from '../../src/trust/compact.ts';

/** What a record tells that an attacker wants, by the names of its flat form. */
const FLAT_NAMES = {
  stack_id: ['id'],
  host_ip: ['ip'],
  subnets: ['net'],
  gateway_ip: ['gw'],
  vtep_mac: ['mac'],
  wg_public_key: ['wg'],
  wg_other_public_key: ['wg0', 'wg1'],
  instance: ['inst'],
} as const satisfies Partial<Record<keyof StackRecord, readonly string[]>>;
export type Field = keyof typeof FLAT_NAMES;
export const FIELDS = Object.keys(FLAT_NAMES) as Field[];

/** RDLENGTH and RDATA of an A record: four bytes alone would be found in noise every few hundred runs. */
const addressRecord = (text: string) => {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(4);
  bytes.writeUInt32BE(parsePrefix(`${text}/32`)!.base, 2);
  return bytes;
};

/** As text, and as bytes where their number tells them from noise. */
const PLAIN: Record<Field, (text: string) => readonly (string | Buffer)[]> = {
  stack_id: (text) => [text],
  host_ip: (text) => [text, addressRecord(text)],
  subnets: (text) => [text],
  gateway_ip: (text) => [text, addressRecord(text)],
  vtep_mac: (text) => [text, text.replaceAll(':', ''), Buffer.from(text.replaceAll(':', ''), 'hex')],
  wg_public_key: (text) => [text, Buffer.from(text, 'base64')],
  wg_other_public_key: (text) => [text, Buffer.from(text, 'base64')],
  instance: (text) => [text, Buffer.from(text, 'hex')],
};

/** Fields that stand in `haystack` as text or as bytes of their own. */
export function inClear(haystack: Buffer, record: StackRecord): Field[] {
  return FIELDS.filter((field) =>
    [record[field]!]
      .flat()
      .flatMap(PLAIN[field])
      .some((form) => haystack.includes(form)),
  );
}

/** Fields that stand in it as an envelope has them before it is sealed. */
export function inBinary(haystack: Buffer, record: StackRecord): Field[] {
  const flat = toFlat(record);
  return FIELDS.filter((field) =>
    FLAT_NAMES[field].some((name) => flat[name] && haystack.includes(packFlat({ [name]: flat[name] }))),
  );
}

/** A long value is cut into strings of a TXT record, `e0=`, `e1=` and so on, each after its length. */
const STRING_ENDS = /[\s\S]e[1-9]=/g;
const BASE64 = /[A-Za-z0-9+/_-]{16,}/g;

/** What is encoded in base64 anywhere in `bytes`, from whichever character on. */
function decoded(bytes: Buffer): Buffer {
  const runs = bytes.toString('latin1').replace(STRING_ENDS, '').match(BASE64) ?? [];
  return Buffer.concat(
    runs.flatMap((run) => [0, 1, 2, 3].map((from) => Buffer.from(run.slice(from).replaceAll('_', '/'), 'base64'))),
  );
}

/** With all that is in base64, and in base64 in that: etcd's JSON has values so, in which an envelope is so again. */
export function whole(capture: Buffer): Buffer {
  const once = decoded(capture);
  return Buffer.concat([capture, once, decoded(once)]);
}

/** tcpdump on the loopback of this network namespace. */
export class Capture {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #chunks: Buffer[] = [];
  #said = '';

  private constructor(filter: string) {
    // As another user it would not end with this process; with a queue of 32 MB a busy machine loses no packet.
    const tcpdump = [
      'tcpdump',
      '-Z',
      'root',
      '-i',
      'lo',
      '-B',
      '32768',
      '-U',
      '--immediate-mode',
      '-s',
      '0',
      '-w',
      '-',
    ];
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...tcpdump, filter], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close');
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#said += chunk;
    });
  }

  static async start(filter: string): Promise<Capture> {
    const capture = new Capture(filter);
    while (!capture.#said.includes('listening on')) {
      if (capture.#child.exitCode !== null) throw new Error(`tcpdump: ${capture.#said}`);
      await sleep(20);
    }
    return capture;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** @throws when a packet is missing in it. */
  async stop(): Promise<Buffer> {
    this.#child.kill('SIGINT');
    await this.#ended;
    if (!/^0 packets dropped by kernel$/m.test(this.#said)) throw new Error(`tcpdump: ${this.#said}`);
    return this.bytes;
  }
}

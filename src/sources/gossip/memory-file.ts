/** `gossip.json`: where the other stacks were last, so that a stack that restarts while its seeds are down still finds them. */
import * as v from 'valibot';
import { parseIpv4 } from '../../net/ipv4.ts';
import { EpochSchema, type Parsed, parseJson } from '../../record/record.ts';
import { readCapped, removeLeftovers, writeAtomic } from '../../state/atomic-file.ts';
import { MAX_REMEMBERED, type Memory } from './rejoin.ts';

const MAX_BYTES = 256 * 1024;

const EndpointSchema = v.pipe(
  v.string(),
  v.check((text) => {
    const [address = '', port = '', ...more] = text.split(':');
    return (
      parseIpv4(address) !== undefined && /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535 && more.length === 0
    );
  }, 'is not IP:PORT'),
);
const MemorySchema = v.object({
  version: v.literal(1, 'is not version 1'),
  stacks: v.pipe(
    v.record(v.pipe(v.string(), v.maxLength(100)), v.object({ endpoint: EndpointSchema, at: EpochSchema })),
    v.check((stacks) => Object.keys(stacks).length <= MAX_REMEMBERED, `has more than ${MAX_REMEMBERED} stacks`),
  ),
});

export function parseMemory(text: string): Parsed<Memory> {
  const parsed = parseJson(MemorySchema, text, MAX_BYTES);
  return parsed.ok ? { ok: true, value: new Map(Object.entries(parsed.value.stacks)) } : parsed;
}

export function formatMemory(memory: Memory): string {
  return `${JSON.stringify({ version: 1, stacks: Object.fromEntries(memory) }, undefined, 2)}\n`;
}

/** Nothing where there is no such file or it is damaged: seeds remain. */
export async function readMemory(path: string): Promise<Memory> {
  await removeLeftovers(path);
  const text = await readCapped(path, MAX_BYTES).catch(() => undefined);
  const parsed = text === undefined ? undefined : parseMemory(text);
  return parsed?.ok ? parsed.value : new Map();
}

/** A volume that cannot be written is discovery's own trouble to report; what is remembered is only a help. */
export async function writeMemory(path: string, memory: Memory): Promise<void> {
  await writeAtomic(path, formatMemory(memory)).catch(() => undefined);
}

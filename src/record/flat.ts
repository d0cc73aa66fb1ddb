/**
 * A record as a few short key=value pairs of text, for transports with little room: DNS TXT strings (255 bytes each, RFC 6763 section 6)
 * and Serf's tags (512 bytes in all). A typical record takes about 150 bytes. Pure.
 *
 * id stack_id · ip host_ip · vni · port vxlan_port · net, net2 subnets · gw gateway_ip · mac vtep_mac · inst instance · since, boot (base 36) ·
 * seq (base 36) · wg wg_public_key · wgport wg_port · k.NAME public_keys; wg1, wg1port of the
 * other slot, or wg0, wg0port: then the first is slot 1. A reader ignores every other key, so later versions may add some.
 */
import { vtepMac } from '../net/mac.ts';
import { MAX_SUBNETS, type Parsed, parseRecord, type StackRecord } from './record.ts';

export type Flat = Readonly<Record<string, string>>;

/** Half of the subnets fit one DNS string whatever they are: 8 x 18 bytes and 7 commas. */
const SUBNETS_A_KEY = MAX_SUBNETS / 2;
const KEY_PREFIX = 'k.';

/** What a reader assumes where there is no `mac`: the one that follows from the id, once the stack has subnets to be reached at. */
function impliedMac(stackId: string, subnets: readonly string[]): string | undefined {
  return subnets.length > 0 ? vtepMac(stackId) : undefined;
}

/** And where there is no port: the usual ones. Two keys, two ports and a signature have to fit gossip's 512 bytes. */
const impliedVxlanPort = (key: string | undefined, subnets: readonly string[]) =>
  key !== undefined && subnets.length > 0 ? 4789 : undefined;
const impliedWgPort = (key: string | undefined, slot: number) => (key === undefined ? undefined : 51_820 + slot);

/** Empty: there is none, although one would be assumed. */
function portToFlat(name: string, port: number | undefined, implied: number | undefined): Record<string, string> {
  return port === implied ? {} : { [name]: port === undefined ? '' : String(port) };
}

function portOf(text: string | undefined, implied: number | undefined): number | undefined {
  return text === undefined ? implied : text === '' ? undefined : decimal(text);
}

/** The other slot's number stands in the names of its keys, and so says which one the active one is. */
function slotsToFlat(record: StackRecord): Record<string, string> {
  const { wg_public_key: key, wg_slot: slot = 0, wg_other_public_key: otherKey } = record;
  const other = `wg${1 - slot}`;
  const flat = {
    ...(key !== undefined && { wg: key }),
    ...portToFlat('wgport', record.wg_port, impliedWgPort(key, slot)),
    ...(otherKey !== undefined && { [other]: otherKey }),
    ...portToFlat(`${other}port`, record.wg_other_port, impliedWgPort(otherKey, 1 - slot)),
  };
  const said = other in flat || `${other}port` in flat;
  return { ...flat, ...(slot === 1 && !said && { wgslot: '1' }) };
}

function slotsOf(flat: Flat): Partial<Record<keyof StackRecord, unknown>> {
  const slot = flat.wgslot === '1' || flat.wg0 !== undefined || flat.wg0port !== undefined ? 1 : 0;
  const otherKey = flat[`wg${1 - slot}`];
  const port = portOf(flat.wgport, impliedWgPort(flat.wg, slot));
  const otherPort = portOf(flat[`wg${1 - slot}port`], impliedWgPort(otherKey, 1 - slot));
  return {
    ...(flat.wg !== undefined && { wg_public_key: flat.wg }),
    ...(port !== undefined && { wg_port: port }),
    ...(slot === 1 && { wg_slot: slot }),
    ...(otherKey !== undefined && { wg_other_public_key: otherKey }),
    ...(otherPort !== undefined && { wg_other_port: otherPort }),
  };
}

export function toFlat(record: StackRecord): Record<string, string> {
  const { stack_id, subnets, gateway_ip, vtep_mac, vxlan_port, public_keys } = record;
  const implied = vtep_mac === impliedMac(stack_id, subnets);
  return {
    id: stack_id,
    ip: record.host_ip,
    vni: String(record.vni),
    ...portToFlat('port', vxlan_port, impliedVxlanPort(record.wg_public_key, subnets)),
    ...(subnets.length > 0 && { net: subnets.slice(0, SUBNETS_A_KEY).join(',') }),
    ...(subnets.length > SUBNETS_A_KEY && { net2: subnets.slice(SUBNETS_A_KEY).join(',') }),
    ...(gateway_ip !== undefined && { gw: gateway_ip }),
    // Empty: there is none, although one would be assumed.
    ...(!implied && { mac: vtep_mac?.replaceAll(':', '') ?? '' }),
    inst: record.instance,
    since: record.since.toString(36),
    boot: record.boot.toString(36),
    seq: record.seq.toString(36),
    ...slotsToFlat(record),
    ...Object.fromEntries(Object.entries(public_keys ?? {}).map(([name, key]) => [KEY_PREFIX + name, key])),
  };
}

function decimal(text: string | undefined): number | undefined {
  return text === undefined ? undefined : /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}

function base36(text: string | undefined): number | undefined {
  return text === undefined ? undefined : /^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, 36) : Number.NaN;
}

const items = (text: string | undefined) => (text ? text.split(',') : []);
/** People write a MAC with colons, `toFlat` without. */
const colons = (text: string) => (/^[0-9a-f]{12}$/.test(text) ? text.match(/../g)!.join(':') : text);

function macOf(flat: Flat, subnets: readonly string[]): string | undefined {
  if (flat.mac === undefined) return impliedMac(flat.id ?? '', subnets);
  return flat.mac === '' ? undefined : colons(flat.mac);
}

/** The record that `flat` says; an error in words when a required key is missing or a value is malformed. Unknown keys are ignored. */
export function fromFlat(flat: Flat): Parsed<StackRecord> {
  const subnets = [...items(flat.net), ...items(flat.net2)];
  const port = portOf(flat.port, impliedVxlanPort(flat.wg, subnets));
  const mac = macOf(flat, subnets);
  const keys = Object.entries(flat).filter(([key]) => key.startsWith(KEY_PREFIX));
  return parseRecord({
    stack_id: flat.id,
    vni: decimal(flat.vni),
    host_ip: flat.ip,
    subnets,
    ...(flat.gw !== undefined && { gateway_ip: flat.gw }),
    ...(mac !== undefined && { vtep_mac: mac }),
    ...(port !== undefined && { vxlan_port: port }),
    ...slotsOf(flat),
    ...(keys.length > 0 && {
      public_keys: Object.fromEntries(keys.map(([key, value]) => [key.slice(KEY_PREFIX.length), value])),
    }),
    instance: flat.inst,
    since: base36(flat.since),
    boot: base36(flat.boot),
    seq: base36(flat.seq),
  });
}

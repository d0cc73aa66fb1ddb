/** `wg show all dump` -> devices. Pure. The output holds private keys: it must never reach a log. */

export interface WgPeer {
  readonly endpoint: string | undefined;
  readonly allowedIps: string;
  /** Seconds since 1970 of the last completed handshake; 0: there was none. */
  readonly handshake: number;
}

export interface WgDevice {
  /** Undefined while the device has no key. */
  readonly privateKey: string | undefined;
  readonly publicKey: string | undefined;
  readonly port: number;
  readonly peers: ReadonlyMap<string, WgPeer>;
}

const given = (text: string | undefined) => (text === undefined || text === '(none)' ? undefined : text);

/** A line of five fields begins a device, one of nine is a peer of it (wg(8), "dump"). */
export function parseWgDump(text: string): Map<string, WgDevice> {
  const devices = new Map<string, WgDevice & { peers: Map<string, WgPeer> }>();
  for (const line of text.split('\n')) {
    const fields = line.split('\t');
    const [name = '', first, second, third, fourth, fifth] = fields;
    if (fields.length === 5)
      devices.set(name, {
        privateKey: given(first),
        publicKey: given(second),
        port: Number(third) || 0,
        peers: new Map(),
      });
    else if (fields.length === 9 && first !== undefined)
      devices.get(name)?.peers.set(first, {
        endpoint: given(third),
        allowedIps: fourth ?? '',
        handshake: Number(fifth) || 0,
      });
  }
  return devices;
}

/** Encrypted tunnels between the two hosts, by the programs that Debian has. Each gives its addresses on host 1 and host 2. */
import { inHost, ok } from './lab.ts';

export type Addresses = readonly [string, string];
type HostNumber = 1 | 2;
const HOSTS = [1, 2] as const;
const underlay = (host: HostNumber) => `10.77.0.${host}`;
const shell = (host: HostNumber, script: string) => ok(host, 'sh', '-euc', script);

async function needs(program: string): Promise<void> {
  for (const host of HOSTS)
    if ((await inHost(host, 'sh', '-c', `command -v ${program}`)).code !== 0)
      throw new Error(`${program} is not in the lab's hosts`);
}

export async function wireguard(): Promise<Addresses> {
  await needs('wireguard-go');
  const address = (host: HostNumber) => `10.88.1.${host}`;
  const keys: string[] = [];
  for (const host of HOSTS)
    keys.push(
      await shell(host, 'cd /root; umask 077; wireguard-go wg9 >/dev/null 2>&1; wg genkey >wg9; wg pubkey <wg9'),
    );
  for (const host of HOSTS) {
    const other = host === 1 ? 2 : 1;
    const peer = `peer ${keys[other - 1]} allowed-ips ${address(other)}/32 endpoint ${underlay(other)}:7009`;
    await shell(
      host,
      `wg set wg9 private-key /root/wg9 listen-port 7009 ${peer}; ip address add ${address(host)}/24 dev wg9; ip link set wg9 up`,
    );
  }
  return [address(1), address(2)];
}

const nebulaConfig = (
  host: HostNumber,
) => `pki: { ca: /root/nebula/ca.crt, cert: /root/nebula/h${host}.crt, key: /root/nebula/h${host}.key }
static_host_map: { "10.88.2.1": ["${underlay(1)}:7010"], "10.88.2.2": ["${underlay(2)}:7010"] }
lighthouse: { am_lighthouse: false }
listen: { host: 0.0.0.0, port: 7010 }
tun: { dev: nebula9 }
firewall: { outbound: [{ port: any, proto: any, host: any }], inbound: [{ port: any, proto: any, host: any }] }
`;

export async function nebula(): Promise<Addresses> {
  await needs('nebula');
  await shell(
    1,
    `mkdir -p /root/nebula; cd /root/nebula; nebula-cert ca -name bench
     for host in 1 2; do nebula-cert sign -name h$host -ip 10.88.2.$host/24; done`,
  );
  const files = await shell(1, 'tar -C /root -c nebula | base64 -w0');
  await shell(2, `echo ${files} | base64 -d | tar -C /root -x`);
  for (const host of HOSTS)
    await shell(
      host,
      `cat >/root/nebula/config.yml <<'END'\n${nebulaConfig(host)}END\nsetsid nebula -config /root/nebula/config.yml >/root/nebula/log 2>&1 </dev/null &`,
    );
  return ['10.88.2.1', '10.88.2.2'];
}

/** DNS against the conformance suite, with a BIND 9 of its own that takes updates. */
import type { StackRecord } from '../../src/record/record.ts';
import { Bind, DOMAIN } from '../dns/bind.ts';
import { createSource, SERVER } from './dns-source.ts';
import { HOST_IP } from './network.ts';
import { conformance, inPrivateNetwork, spawnStack } from './suite.ts';

const SERVICE = `_docker-router._udp.${DOMAIN}`;
/** Other services' records, entries that are half there, TXT that is not ours or that lies, numbers out of range, and what no stack id can be. */
const GARBAGE = [
  `add ${SERVICE} 5 PTR printer._ipp._tcp.${DOMAIN}.`,
  `add ${SERVICE} 5 PTR Some\\ Printer\\.2.${SERVICE}.`,
  `add ${SERVICE} 5 PTR nothing-there.${SERVICE}.`,
  `add ${SERVICE} 5 PTR elsewhere._docker-router._udp.other.example.`,
  `add ${SERVICE} 5 PTR foreign.${SERVICE}.`,
  `add foreign.${SERVICE} 5 SRV 0 0 80 ns.${DOMAIN}.`,
  `add foreign.${SERVICE} 5 TXT "path=/index.html" "=x" ""`,
  `add ${SERVICE} 5 PTR half.${SERVICE}.`,
  `add half.${SERVICE} 5 TXT "txtvers=1" "vni=1000"`,
  `add ${SERVICE} 5 PTR lies.${SERVICE}.`,
  `add lies.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
  `add lies.${SERVICE} 5 TXT "txtvers=1" "vni=99999999" "net=0.0.0.0/0,x" "mac=ff:ff:ff:ff:ff:ff"`,
  `add ${SERVICE} 5 PTR newer.${SERVICE}.`,
  `add newer.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
  `add newer.${SERVICE} 5 TXT "txtvers=2" "vni=1000"`,
  `add ${SERVICE} 5 PTR lost.${SERVICE}.`,
  `add lost.${SERVICE} 5 SRV 0 0 4789 nowhere.other.example.`,
  `add lost.${SERVICE} 5 TXT "txtvers=1" "vni=1000"`,
  `add ${SERVICE} 5 PTR lease.${SERVICE}.`,
  `add lease.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
  `add lease.${SERVICE} 5 TXT "txtvers=1" "vni=1000" "lease=-1" "until=soon" "n=~"`,
  `add ${SERVICE} 5 PTR large.${SERVICE}.`,
  `add large.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
  `add large.${SERVICE} 5 TXT ${Array.from({ length: 30 }, (_, i) => `"k${i}=${'x'.repeat(240)}"`).join(' ')}`,
];

let bind: Bind;

await inPrivateNetwork(import.meta.url);
conformance('dns', {
  start: async () => {
    bind = await Bind.start({ port: SERVER.port });
  },
  stop: async () => bind.close(),
  hostIp: HOST_IP,
  create: (record: StackRecord) => createSource(undefined, record),
  spawn: (record: StackRecord) =>
    spawnStack({ module: new URL('./dns-source.ts', import.meta.url).href, options: undefined, record }),
  injectGarbage: async () => bind.nsupdate(GARBAGE.map((line) => `update ${line}`)),
  within: { seen: 20_000, left: 5000, dead: 20_000 },
  sameId: 'second refused',
  outage: { begin: () => bind.down(), end: () => bind.up() },
});

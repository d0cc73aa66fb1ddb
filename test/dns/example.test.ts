/** The configuration of examples/dns and of docs/dns.md, given to a real BIND and to the source. The compose files run in test/examples. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import { type DnsConfig, TSIG_ALGORITHMS } from '../../src/config/dns-config.ts';
import { createSource } from '../../src/sources/dns/dns.ts';
import { Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { block } from '../support/readme.ts';
import { record } from '../support/records.ts';
import { Bind, DOMAIN, testKey } from './bind.ts';
import { lastMessage, SOON_MS, sees } from './sources.ts';

const read = (path: string) => readFileSync(new URL(`../../examples/dns/${path}`, import.meta.url), 'utf8');
const keygen = (...argv: string[]) => {
  const { stdout, status } = spawnSync('tsig-keygen', argv, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  assert.equal(status, 0);
  return stdout;
};

const KEY_FILE = keygen('docker-router');
const running = new Set<Stack>();
let bind: Bind;

/** named.conf as it is in the repository, with the container's folders in the temporary one and another port. */
function configuration(folder: string, port: number): string {
  const text = read('bind/named.conf');
  for (const part of ['/etc/bind-key/', '/var/cache/bind', 'port 5300 { any; }']) assert.ok(text.includes(part), part);
  return text
    .replace('/etc/bind-key/', `${folder}/`)
    .replace('/var/cache/bind', folder)
    .replace('port 5300', `port ${port}`);
}

await inPrivateNetwork(import.meta.url);
before(async () => {
  const zone = read('bind/docker.example.zone');
  bind = await Bind.start({ configuration, files: { 'docker-router.key': KEY_FILE, 'docker.example.zone': zone } });
});
afterEach(async () => {
  await Promise.all([...running].map(({ source }) => source.stop()));
  running.clear();
});
after(() => bind.close());

/** As the daemon makes it from its environment. */
function run(n: number, environment: Record<string, string>, changes: Parameters<typeof record>[1] = {}): Stack {
  const config = readDiscoveryConfig({
    STACK_ID: 'x',
    VNI: '1000',
    DISCOVERY_MODE: 'dns',
    DNS_DOMAIN: DOMAIN,
    DNS_INTERVAL: '500ms',
    PEER_TIMEOUT: '90s',
    ...environment,
  });
  const made = new Stack(createSource(config), record(n, changes)).publish().start();
  running.add(made);
  return made;
}

const server = () => `${bind.server.address}:${bind.server.port}`;
test('stacks with the key file of tsig-keygen list themselves under the update-policy of the example', async () => {
  const environment = { DNS_UPDATE_SERVER: server(), DNS_TSIG_SECRET: KEY_FILE };
  const [a, b] = [run(1, environment), run(2, environment)];
  await sees(a, 'stack-2');
  await sees(b, 'stack-1');
  running.delete(b);
  await b.source.stop();
  await sees(a, '');
  a.change({ host_ip: '192.168.5.5' });
  await until(
    () => bind.dig('A', `stack-1.docker-router.${DOMAIN}`).includes('192.168.5.5'),
    SOON_MS,
    'moved',
    () => '',
  );
});

test('the key of the example may change nothing but stacks', () => {
  const secret = /secret "(.+)"/.exec(KEY_FILE)![1]!;
  const key = { ...testKey('docker-router'), secret: Buffer.from(secret, 'base64') };
  bind.nsupdate([`update add x._docker-router._udp.${DOMAIN} 5 TXT a`], key);
  for (const line of [
    `update add www.${DOMAIN} 5 A 10.0.0.1`,
    `update delete ns.${DOMAIN}`,
    `update add ${DOMAIN} 5 TXT a`,
    `update add x.docker-router.${DOMAIN} 5 TXT a`,
  ])
    assert.throws(() => bind.nsupdate([line], key), /REFUSED/, line);
  bind.nsupdate([`update delete x._docker-router._udp.${DOMAIN}`], key);
});

test("the operator's zone of the example lists both stacks, each of which finds itself in it as it is", async () => {
  const records = read('static/docker.example.zone');
  const fixed = await Bind.start({
    configuration: (folder, port) =>
      `options { directory "${folder}"; pid-file none; session-keyfile none; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; }; controls { }; zone "${DOMAIN}" { type primary; file "docker.example.zone"; };`,
    files: { 'docker.example.zone': records },
  });
  try {
    const environment = {
      DNS_SERVERS: `127.0.0.1:${fixed.server.port}`,
      DNS_UPDATE_SERVER: '',
      DNS_TSIG_SECRET_FILE: '',
    };
    const plane = (letter: string, host: number, net: number) => ({
      stack_id: `stack-${letter}`,
      host_ip: `10.77.0.${host}`,
      subnets: [`172.${net}.0.0/24`],
      gateway_ip: `172.${net}.0.2`,
    });
    const [a, b] = [run(1, environment, plane('a', 1, 30)), run(2, environment, plane('b', 2, 31))];
    await sees(a, 'stack-b');
    await sees(b, 'stack-a');
    for (const stack of [a, b]) assert.match(lastMessage(stack), /an operator has listed this stack too/);
    const { instance: _i, since: _s, boot: _b, seq: _q, ...seen } = a.everything()[0]!.record;
    const { instance: _i2, since: _s2, boot: _b2, seq: _q2, ...own } = b.record;
    assert.deepEqual(seen, own, 'what the zone says of b is what b says of itself');
  } finally {
    await fixed.close();
  }
});

test('a key of its own for each stack, as the documentation shows it, is enough for that stack and no other', async () => {
  const keys = ['stack-1', 'stack-2'].map((name, i) => testKey(`${name}-key`, 'hmac-sha256', 20 + i));
  const policy = block('docs/dns.md', 'key-per-stack').replaceAll('stack-a', 'stack-1');
  const strict = await Bind.start({ keys, zoneStatements: policy });
  try {
    const environment = (i: number) => ({
      DNS_UPDATE_SERVER: `127.0.0.1:${strict.server.port}`,
      DNS_TSIG_NAME: keys[i]!.name,
      DNS_TSIG_SECRET: keys[i]!.secret.toString('base64'),
    });
    const own = run(1, environment(0));
    await until(
      () => own.works === true,
      SOON_MS,
      'listed',
      () => own.events.slice(-2),
    );
    const other = run(1, environment(1), { stack_id: 'stack-9' });
    await until(
      () => other.works === false,
      SOON_MS,
      'refused',
      () => other.events.slice(-2),
    );
    assert.match(other.trouble!, /REFUSED/);
  } finally {
    await strict.close();
  }
});

test('every algorithm that the documentation names is one that tsig-keygen knows', () => {
  const text = readFileSync(new URL('../../docs/dns.md', import.meta.url), 'utf8');
  for (const algorithm of TSIG_ALGORITHMS) {
    assert.ok(text.includes(algorithm), algorithm);
    const config: DnsConfig = readDiscoveryConfig({
      STACK_ID: 'x',
      VNI: '1',
      DISCOVERY_MODE: 'dns',
      DNS_DOMAIN: DOMAIN,
      DNS_UPDATE_SERVER: '10.0.0.1',
      DNS_TSIG_SECRET: keygen('-a', algorithm, 'k'),
    }).dns!;
    assert.deepEqual([config.update!.key.name, config.update!.key.algorithm], ['k', algorithm]);
  }
});

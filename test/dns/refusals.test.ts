/** Every way in which a real server refuses an update: said in words that mend it, without a crash, and the others stay peers. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { DnsSource } from '../../src/sources/dns/dns.ts';
import { Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { record } from '../support/records.ts';
import { Bind, DOMAIN, testKey, zoneFile } from './bind.ts';
import { type Changes, INTERVAL_MS, ids, PEER_TIMEOUT_MS, SERVICE, SOON_MS, stack } from './sources.ts';

const KEY = testKey();
const FOREIGN = testKey('other-team', 'hmac-sha256', 5);

let bind: Bind;
let good: Stack;
const running = new Set<Stack>();
await inPrivateNetwork(import.meta.url);
before(async () => {
  const more = `zone "static.example" { type primary; file "static"; };`;
  const zoneStatements = `update-policy { grant ${KEY.name} zonesub ANY; grant ${FOREIGN.name} name team.${DOMAIN} ANY; };`;
  bind = await Bind.start({ keys: [KEY, FOREIGN], zoneStatements, more, files: { static: zoneFile() } });
  good = stack(9, bind).publish().start();
  await until(
    () => good.works === true,
    SOON_MS,
    'a good stack is listed',
    () => good.events,
  );
});
afterEach(async () => {
  await Promise.all([...running].map(({ source }) => source.stop()));
  running.clear();
});
after(async () => {
  await good.source.stop();
  await bind.close();
});

/** The stack is told `words`, sees the good one all the same, and nobody sees it. */
async function refused(one: Stack, words: RegExp): Promise<void> {
  running.add(one.publish().start());
  await until(
    () => one.works === false && words.test(one.trouble!),
    SOON_MS,
    String(words),
    () => one.events.slice(-3),
  );
  await until(
    () => ids(one) === 'stack-9',
    SOON_MS,
    'sees the good one',
    () => one.events.slice(-3),
  );
  assert.ok(one.everything().every(({ stale }) => !stale));
  assert.equal(bind.dig('PTR', SERVICE).match(/PTR/g)?.length, 1, 'not listed');
  assert.equal(good.works, true, good.trouble);
}

const withKey = (changes: Changes) => stack(1, bind, changes);

test('another secret', () =>
  refused(withKey({ key: testKey('docker-router', 'hmac-sha256', 8) }), /BADSIG.*DNS_TSIG_SECRET/));
test('an unknown key', () =>
  refused(withKey({ key: testKey('nobody') }), /does not know the key nobody .*BADKEY.*DNS_TSIG_NAME/));
test('another algorithm', () =>
  refused(withKey({ key: testKey('docker-router', 'hmac-sha512') }), /BADKEY.*DNS_TSIG_ALGORITHM/));
test('a key without the right to these names', () => refused(withKey({ key: FOREIGN }), /REFUSED.*update-policy/));

/** A source that reads DOMAIN and updates elsewhere. */
function updating(port: number, domain = DOMAIN): Stack {
  const update = { server: { address: '127.0.0.1', port }, key: KEY };
  const config = { domain, servers: [bind.server], update, ttlSeconds: 1, intervalMs: INTERVAL_MS };
  return new Stack(new DnsSource(config, PEER_TIMEOUT_MS), record(1));
}

async function told(one: Stack, words: RegExp): Promise<void> {
  running.add(one.publish().start());
  await until(
    () => one.works === false && words.test(one.trouble!),
    SOON_MS,
    String(words),
    () => one.events.slice(-3),
  );
}

test('a zone without updates', () => told(updating(bind.server.port, 'static.example'), /REFUSED.*update-policy/));
test('a domain that the server does not serve', () =>
  told(updating(bind.server.port, 'elsewhere.example'), /cannot list this stack.*elsewhere\.example.*REFUSED/));
test('nobody there', () => refused(updating(9), /no answer from 127\.0\.0\.1:9/));

test('a secondary server', async () => {
  const zoneStatements = `primaries { 127.0.0.1 port ${bind.server.port}; };`;
  const secondary = await Bind.start({ keys: [KEY], zoneType: 'secondary', zoneStatements });
  try {
    await refused(updating(secondary.server.port), /(NOTIMP|REFUSED|NOTAUTH).*(primary|another server)/);
  } finally {
    await secondary.close();
  }
});

test('a server that cannot write', async () => {
  const zoneStatements = `update-policy { grant ${KEY.name} zonesub ANY; }; journal "/proc/none/journal";`;
  const broken = await Bind.start({ keys: [KEY], zoneStatements });
  try {
    await refused(updating(broken.server.port), /SERVFAIL.*its log says why.*cannot write/);
  } finally {
    await broken.close();
  }
});

test('once the server is mended the stack is listed, without being restarted', async () => {
  const away = await Bind.start({ keys: [KEY] });
  try {
    await away.down();
    const one = updating(away.server.port);
    await refused(one, /nothing listens there/);
    await away.up();
    await until(
      () => one.works === true,
      SOON_MS,
      'listed',
      () => one.events.slice(-3),
    );
    assert.match(away.dig('PTR', SERVICE), /stack-1/);
  } finally {
    await away.close();
  }
});

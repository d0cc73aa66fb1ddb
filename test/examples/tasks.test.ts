/** docs/tasks.md by its own words, on two hosts: `shop` on the first, `data` with the database on the second. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { dropMulticast } from '../support/connect.ts';
import { eventually, inHost, ok, outside, useLab, writeInHost } from '../support/lab.ts';
import { block, commands } from '../support/readme.ts';

const DOCUMENT = 'docs/tasks.md';
const FOLDERS = ['/root/shop', '/root/data'];
const HOSTS = [1, 2];
/** What the second host sees of the first one behind NAT. */
const PUBLIC = '10.99.0.1';
/** For a connection to come up on a busy machine, in seconds. */
const PATIENCE = 60;

useLab(2, async () => {
  await Promise.all(
    HOSTS.map(async (host) => {
      await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
      await ok(host, 'sh', '-c', `rm -rf ${FOLDERS.join(' ')} && mkdir ${FOLDERS.join(' ')}`);
    }),
  );
  await writeInHost(1, '/root/shop/compose.yaml', 'services: { web: { image: "nginx:alpine" } }\n');
  const db = 'services: { db: { image: "nginx:alpine", environment: { PORT: "5432" } } }\n';
  await writeInHost(2, '/root/data/compose.yaml', db);
});
after(() =>
  Promise.all(HOSTS.map((host) => inHost(host, 'sh', '-c', `cd ${FOLDERS[host - 1]}; docker compose down -v -t 2`))),
);

/** A line of the document in the host's stack, without a terminal, and until the containers are healthy. */
function shell(host: number, line: string): Promise<string> {
  const plain = line.replace('compose exec', 'compose exec -T').replace(/up -d$/, 'up -d --wait');
  return ok(host, 'sh', '-c', `cd ${FOLDERS[host - 1]} && ${plain}`);
}

async function all(host: number, name: string): Promise<string[]> {
  const shown: string[] = [];
  for (const line of commands(DOCUMENT, name)) shown.push(await shell(host, line));
  return shown;
}

/** The web of the shop opens a TCP connection to the database, by name. */
const databaseOpen = () =>
  eventually(PATIENCE, async () => {
    const [address, open] = await all(1, 'database');
    assert.match(address!, /^10\.\S+ +db\.data\.internal$/);
    assert.equal(open, 'open');
  });

const idOf = (host: number, service: string) => shell(host, `docker compose ps -q ${service}`);

test('add it to my stack, and reach a database on another host', async () => {
  await all(2, 'add');
  const [written] = await all(1, 'add');
  assert.match(written!, /compose\.override\.yaml/);
  await databaseOpen();
  const status = commands(DOCUMENT, 'add').at(-1)!;
  await eventually(PATIENCE, async () => assert.match(await shell(1, status), /✓ data +ok/));
});

test('upgrade: the two containers are new, the services are the same, and the stacks connected', async () => {
  const services = ['web', 'router', 'discovery'];
  const before = await Promise.all(services.map((service) => idOf(1, service)));
  for (const image of ['docker-router', 'docker-router-discovery'])
    await shell(1, `echo 'FROM ${image}\nLABEL version=next' | docker build -q -t ${image} -`);
  await all(1, 'upgrade-save');
  await all(1, 'upgrade');
  const now = await Promise.all(services.map((service) => idOf(1, service)));
  assert.deepEqual(
    services.filter((_, i) => now[i] !== before[i]),
    ['router', 'discovery'],
  );
  await databaseOpen();
});

test('two hosts over the internet: no multicast, keys, and nothing in clear', async () => {
  await dropMulticast(2);
  await all(1, 'internet-keys');
  for (const host of HOSTS)
    await writeInHost(host, `${FOLDERS[host - 1]}/internet.yml`, block(DOCUMENT, 'internet-file'));
  for (const key of ['gossip.key', 'discovery-keys'])
    await writeInHost(2, `/root/data/${key}`, `${await shell(1, `cat ${key}`)}\n`);
  await shell(2, commands(DOCUMENT, 'internet-keys').at(-1)!);
  // The seed named there is the first host, which may name itself.
  await Promise.all(HOSTS.map((host) => all(host, 'internet')));
  await databaseOpen();
  const trust = commands(DOCUMENT, 'internet').at(-1)!;
  await eventually(PATIENCE, async () => assert.match(await shell(1, trust), /^data +[0-9a-f]{32} +since/m));
  const file = JSON.parse(await shell(1, 'docker compose exec router cat /var/lib/docker-router/router.json'));
  assert.equal(file.encryption.mode, 'required');
});

test('docs/gossip.md and docs/security.md: the members, a new gossip key without a gap, and who is trusted', async () => {
  const [members] = commands('docs/gossip.md', 'members');
  const listed = await shell(1, members!);
  // Sealed, the names are hashes.
  for (const address of ['10.77.0.1', '10.77.0.2']) assert.match(listed, new RegExp(` ${address}:7946 +alive `));
  const rotate = block('docs/gossip.md', 'rotate').replaceAll('compose exec', 'compose exec -T').trim();
  await shell(1, `OLD=$(cat gossip.key); ${rotate.split('\n').join(' && ')} && printf %s "$NEW" >gossip.key`);
  await writeInHost(2, '/root/data/gossip.key', await shell(1, 'cat gossip.key'));
  await databaseOpen();
  const [list, forget] = commands('docs/security.md', 'trust');
  assert.match(await shell(1, list!), /^data /m);
  await shell(1, forget!.replace('STACK', 'data'));
  await databaseOpen();
});

test('docs/encryption.md: what it adds to the router is what Compose takes', async () => {
  for (const name of ['kernel', 'wireguard-go']) {
    await writeInHost(1, '/root/shop/encryption.yml', block('docs/encryption.md', name));
    const files = '-f compose.yaml -f compose.override.yaml -f encryption.yml';
    assert.match(await shell(1, `docker compose ${files} config`), /ENCRYPTION: required/, name);
  }
  await shell(1, 'rm encryption.yml');
});

/** The first host behind NAT: the second sees it as PUBLIC, by the forwarded ports alone, and never by its own address. */
async function nat(): Promise<void> {
  const table = `table ip nat_of_host1 {
  chain in { type nat hook prerouting priority dstnat;
    ip saddr 10.77.0.2 ip daddr ${PUBLIC} tcp dport 7946 dnat to 10.77.0.1
    ip saddr 10.77.0.2 ip daddr ${PUBLIC} udp dport { 7946, 51820, 51821 } dnat to 10.77.0.1; }
  chain out { type nat hook postrouting priority srcnat; ip saddr 10.77.0.1 ip daddr 10.77.0.2 snat to ${PUBLIC}; }
}`;
  const rules = await outside(
    'sh',
    '-ec',
    `sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.switch.send_redirects=0; echo '${table}' | nft -f -`,
  );
  assert.equal(rules.code, 0, rules.stderr);
  await ok(1, 'ip', 'route', 'replace', '10.77.0.2/32', 'via', '10.77.0.254');
  // Neither hears the other directly: what the first sends must have passed the NAT, what the second sends as well.
  await ok(2, 'iptables', '-t', 'raw', '-I', 'PREROUTING', '-s', '10.77.0.1', '-j', 'DROP');
  await ok(2, 'iptables', '-t', 'mangle', '-I', 'POSTROUTING', '-d', '10.77.0.1', '-j', 'DROP');
}

test('behind NAT with forwarded ports: the others know the outside address alone', async () => {
  await nat();
  await shell(2, `sed -i 's/^GOSSIP_SEEDS=.*/GOSSIP_SEEDS=${PUBLIC}/' .env`);
  await shell(2, 'docker compose up -d');
  await all(1, 'nat');
  await databaseOpen();
  const read = 'docker compose exec discovery cat /var/lib/docker-router/discovery.json';
  await eventually(PATIENCE, async () => {
    const { peers } = JSON.parse(await shell(2, read));
    assert.deepEqual(
      peers.map((peer: Record<string, unknown>) => [peer.stack_id, peer.host_ip, peer.status]),
      [['shop', PUBLIC, 'active']],
    );
  });
});

test('remove: the service alone, as it was', async () => {
  await shell(1, 'docker compose down -t 2');
  await shell(1, "sed -i '/^COMPOSE_FILE/d' .env");
  await all(1, 'remove');
  assert.equal(await shell(1, 'docker compose ps --services'), 'web');
  assert.equal(await shell(1, 'docker volume ls -q | grep -x shop_docker-router || true'), '');
  await shell(1, 'docker volume rm shop_identity');
  const gateway = await shell(1, "docker compose exec web sh -c 'cat /proc/net/route'");
  assert.match(gateway, /^eth0\t00000000\t01/m, 'the bridge is the gateway again');
});

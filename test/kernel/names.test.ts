/**
 * Two routers' name servers in one namespace, each on its gateway address, each with a Docker of its own that is played here (the real one is
 * in test/lab): who may ask what, what is believed, how long it takes.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import packet, { type DecodedPacket } from 'dns-packet';
import { Names } from '../../src/names/names.ts';
import { systemClock } from '../../src/process/clock.ts';
import { runOk } from '../../src/process/run.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';

inOwnNamespace(import.meta.url);

type Zone = Record<string, string[]>;
const folder = mkdtempSync(join(tmpdir(), 'names-'));
const RESOLV_CONF = join(folder, 'resolv.conf');

/** A name server on port 53 that knows `zone`; names of `silent` get no answer, as when Docker asks resolvers that are away. */
class Played {
  readonly socket: Socket = createSocket('udp4');
  readonly asked: string[] = [];
  readonly silent = new Set<string>();
  mute = false;
  zone: Zone;

  constructor(zone: Zone) {
    this.zone = zone;
    this.socket.on('message', (bytes, { address, port }) => {
      const { id, questions } = packet.decode(bytes);
      const { name, type } = questions[0]!;
      this.asked.push(`${name} ${type}`);
      if (this.mute || this.silent.has(name)) return;
      const found = this.zone[`${name} ${type}`] ?? (this.zone[`${name} A`] && []);
      const answers = (found ?? []).map((data) => ({ name, type, class: 'IN', ttl: 600, data }));
      const message = { type: 'response' as const, id, flags: found ? 0x8180 : 0x8183, questions, answers };
      this.socket.send(packet.encode(message), port, address);
    });
  }

  listen(address: string): Promise<void> {
    return new Promise((resolve) => this.socket.bind(53, address, resolve));
  }
}

const docker = {
  a: new Played({
    'six A': ['172.30.0.5'],
    'six AAAA': ['fd00:30::5', 'fd00:99::5'],
    'web A': ['172.30.0.4'],
    '3.0.30.172.in-addr.arpa PTR': ['stack-a-router-1.stack-a_default'],
  }),
  b: new Played({
    'web A': ['172.31.0.4', '172.31.0.5', '172.31.0.6'],
    'mixed A': ['172.31.0.4', '8.8.8.8', '172.30.0.4'],
    'stray A': ['8.8.8.8'],
    '3.0.31.172.in-addr.arpa PTR': ['stack-b-router-1.stack-b_default'],
    '4.0.31.172.in-addr.arpa PTR': ['stack-b-web-1.stack-b_default'],
    '9.0.31.172.in-addr.arpa PTR': ['liar.example'],
  }),
};
const outside = new Played({
  'example.org A': ['192.0.2.1'],
  'web.elsewhere.internal A': ['192.0.2.2'],
  'web A': ['192.0.2.3'],
});

const A = { stack_id: 'stack-a', subnets: ['172.30.0.0/24'], gateway_ip: '172.30.0.2' };
const B = { stack_id: 'stack-b', subnets: ['172.31.0.0/24'], gateway_ip: '172.31.0.2' };
const GONE = { stack_id: 'gone', subnets: ['172.29.0.0/24'], gateway_ip: '172.29.0.2' };
const gone = new Played({});
const place = (address: string, own: string, networks6: string[] = []) => ({
  resolvConf: RESOLV_CONF,
  docker: { address, port: 53 },
  addresses: () => [own, '127.0.0.1'],
  networks6: () => networks6,
});
const names = {
  a: new Names('internal', systemClock, place('127.0.0.11', '172.30.0.3', ['fd00:30::3/64'])),
  b: new Names('other.domain', systemClock, place('127.0.0.12', '172.31.0.3')),
};

async function answer(bytes: Buffer, from: string, to = A.gateway_ip, waitMs = 4000): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  try {
    return await new Promise((resolve) => {
      socket.on('message', resolve);
      setTimeout(() => resolve(undefined), waitMs).unref();
      socket.send(bytes, 53, to);
    });
  } finally {
    socket.close();
  }
}

const query = (name: string, type: string): Buffer =>
  packet.encode({ type: 'query', id: 4711, flags: 0x0100, questions: [{ name, type, class: 'IN' }] });
async function look(name: string, type = 'A', from = '172.30.0.9', to = A.gateway_ip): Promise<DecodedPacket> {
  const bytes = await answer(query(name, type), from, to);
  assert.ok(bytes, `no answer for ${name}`);
  const message = packet.decode(bytes);
  assert.equal(message.id, 4711);
  return message;
}
const data = ({ answers }: DecodedPacket) => answers.map((record) => String(record.data)).sort();

before(async () => {
  await runOk(['ip', 'link', 'set', 'lo', 'up']);
  const local = ['172.30.0.2', '172.30.0.3', '172.30.0.9', '172.31.0.2', '172.31.0.9', '192.0.2.53', GONE.gateway_ip];
  for (const address of local) await runOk(['ip', 'address', 'add', `${address}/32`, 'dev', 'lo']);
  gone.mute = true;
  await gone.listen(GONE.gateway_ip);
  await docker.a.listen('127.0.0.11');
  await docker.b.listen('127.0.0.12');
  await outside.listen('192.0.2.53');
  writeFileSync(RESOLV_CONF, 'search lan\nnameserver 192.0.2.53\n');
  assert.equal(await names.a.update({ self: A, peers: [B, GONE] }), true);
  await names.b.update({ self: B, peers: [A] });
});

after(() => {
  names.a.stop();
  names.b.stop();
  for (const { socket } of [docker.a, docker.b, outside, gone]) socket.close();
  rmSync(folder, { recursive: true });
});

test("another stack's service: every replica, in changing order, with a short TTL", async () => {
  const orders = new Set<string>();
  for (let i = 0; i < 30; i += 1) {
    const message = await look('web.stack-b.internal');
    assert.deepEqual(data(message), ['172.31.0.4', '172.31.0.5', '172.31.0.6']);
    assert.ok(message.answers.every(({ ttl }) => ttl === 1));
    orders.add(message.answers.map((record) => record.data).join());
  }
  assert.ok(orders.size > 1);
});

test('the answer follows the stack; letters do not matter and come back as they were asked', async () => {
  docker.b.zone['web A'] = ['172.31.0.7'];
  const message = await look('WeB.Stack-B.InterNal');
  assert.deepEqual(data(message), ['172.31.0.7']);
  assert.equal(message.questions[0]!.name, 'WeB.Stack-B.InterNal');
  docker.b.zone['web A'] = ['172.31.0.4', '172.31.0.5', '172.31.0.6'];
});

test('AAAA of a service that has none is empty and no error, other types as well; the stack itself exists', async () => {
  for (const [name, type] of [
    ['web.stack-b.internal', 'AAAA'],
    ['web.stack-b.internal', 'MX'],
    ['web.stack-a.internal', 'TXT'],
    ['stack-b.internal', 'A'],
  ] as const) {
    const { rcode, answers } = await look(name, type);
    assert.deepEqual({ rcode, answers: answers.length }, { rcode: 'NOERROR', answers: 0 }, `${name} ${type}`);
  }
});

test("AAAA of this stack's own service, where its network has IPv6; other stacks hear of none, since no tunnel carries it", async () => {
  assert.deepEqual(data(await look('six.stack-a.internal', 'AAAA')), ['fd00:30::5']);
  assert.deepEqual(data(await look('web.stack-a.internal', 'AAAA')), []);
  const forOthers = await look('six.stack-a.other.domain', 'AAAA', '172.31.0.9', B.gateway_ip);
  assert.deepEqual({ rcode: forOthers.rcode, found: data(forOthers) }, { rcode: 'NOERROR', found: [] });
  assert.deepEqual(data(await look('six.stack-a.other.domain', 'A', '172.31.0.9', B.gateway_ip)), ['172.30.0.5']);
});

test("this stack's own services, in the same form", async () => {
  assert.deepEqual(data(await look('web.stack-a.internal')), ['172.30.0.4']);
});

test('PTR: an address of another stack has the name that leads to it; one that lies has none', async () => {
  assert.deepEqual(data(await look('4.0.31.172.in-addr.arpa', 'PTR')), ['web.stack-b.internal']);
  assert.equal((await look('9.0.31.172.in-addr.arpa', 'PTR')).rcode, 'NXDOMAIN');
});

test('an unknown service is NXDOMAIN at once, also where Docker asks resolvers that do not answer', async () => {
  assert.equal((await look('nothing.stack-b.internal')).rcode, 'NXDOMAIN');
  docker.b.silent.add('slow');
  const began = performance.now();
  assert.equal((await look('slow.stack-b.internal')).rcode, 'NXDOMAIN');
  assert.ok(performance.now() - began < 1500);
});

test('a stack that cannot be reached is SERVFAIL within 2 s, and one whose Docker does not answer too', async () => {
  for (const name of ['web.gone.internal', 'web.stack-b.internal']) {
    docker.b.mute = name.includes('stack-b');
    const began = performance.now();
    assert.equal((await look(name)).rcode, 'SERVFAIL', name);
    assert.ok(performance.now() - began < 2000, name);
  }
  docker.b.mute = false;
});

test("only addresses in the other stack's own subnets are believed", async () => {
  assert.deepEqual(data(await look('mixed.stack-b.internal')), ['172.31.0.4']);
  assert.equal((await look('stray.stack-b.internal')).rcode, 'NXDOMAIN');
  // The asking side does not rely on the other's honesty: here the other router itself says what it likes.
  names.b.stop();
  const liar = new Played({ 'web.stack-b A': ['172.30.0.4', '10.0.0.1'] });
  await liar.listen(B.gateway_ip);
  assert.equal((await look('web.stack-b.internal')).rcode, 'SERVFAIL');
  liar.socket.close();
  await names.b.update({ self: B, peers: [A] });
});

test('everything else goes outside as it is, also names of the domain that are no stack', async () => {
  assert.deepEqual(data(await look('example.org')), ['192.0.2.1']);
  assert.deepEqual(data(await look('web.elsewhere.internal')), ['192.0.2.2']);
  assert.equal((await look('nothing.example.org')).rcode, 'NXDOMAIN');
  outside.mute = true;
  // More than may wait for the outside at a time, and the stacks' names are answered all the same.
  const waiting = Array.from({ length: 300 }, () => answer(query('example.org', 'A'), '172.30.0.9'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(data(await look('web.stack-a.internal')), ['172.30.0.4']);
  const rcodes = (await Promise.all(waiting)).map((bytes) => bytes && packet.decode(bytes).rcode);
  assert.ok(rcodes.every((rcode) => rcode === 'SERVFAIL' || rcode === undefined));
  assert.ok(rcodes.includes('SERVFAIL'));
  outside.mute = false;
});

test("another stack's router is answered for this stack alone; its services, and strangers, get nothing", async () => {
  const ask = (name: string, type = 'A', from = B.gateway_ip) => answer(query(name, type), from, A.gateway_ip, 500);
  const rcode = async (...words: Parameters<typeof ask>) => packet.decode((await ask(...words))!).rcode;
  assert.equal(await rcode('web.stack-a'), 'NOERROR');
  for (const name of ['example.org', 'web.gone', 'web.stack-b', 'web.stack-a.internal'])
    assert.equal(await rcode(name), 'REFUSED', name);
  assert.equal(await rcode('4.0.31.172.in-addr.arpa', 'PTR'), 'REFUSED');
  outside.asked.length = 0;
  for (const name of ['web.stack-a', 'example.org']) assert.equal(await ask(name, 'A', '172.31.0.9'), undefined, name);
  assert.deepEqual(outside.asked, []);
});

test('what the router itself asks is not forwarded, or it could go round in circles', async () => {
  assert.equal((await look('example.org', 'A', A.gateway_ip)).rcode, 'REFUSED');
  assert.deepEqual(data(await look('web.stack-b.internal', 'A', A.gateway_ip)), [
    '172.31.0.4',
    '172.31.0.5',
    '172.31.0.6',
  ]);
});

test('by TCP: what is too long for a datagram, several questions on one connection', async () => {
  const many = Array.from({ length: 200 }, (_, i) => `172.31.0.${i + 10}`);
  // The fake Docker has no TCP; a datagram over loopback holds it.
  docker.b.zone['many A'] = many;
  const short = await look('many.stack-b.internal');
  assert.equal(short.flag_tc, true);
  const socket = connect({ host: A.gateway_ip, port: 53, localAddress: '172.30.0.9' });
  const framed = (bytes: Buffer) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  socket.write(
    Buffer.concat([framed(query('many.stack-b.internal', 'A')), framed(query('web.stack-a.internal', 'A'))]),
  );
  let received = Buffer.alloc(0);
  const messages: DecodedPacket[] = [];
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      messages.push(packet.decode(received.subarray(2, 2 + received.readUInt16BE(0))));
      received = received.subarray(2 + received.readUInt16BE(0));
    }
    if (messages.length === 2) break;
  }
  assert.equal(messages[0]!.answers.length, 200);
  assert.deepEqual(data(messages[1]!), ['172.30.0.4']);
});

test('garbage, and a flood of it, is survived; others are answered meanwhile', async () => {
  const flood = createSocket('udp4');
  await new Promise<void>((resolve) => flood.bind(0, '172.31.0.2', resolve));
  for (let i = 0; i < 5000; i += 1) flood.send(Buffer.alloc(i % 1400, i), 53, A.gateway_ip);
  flood.close();
  // The kernel's buffer may be full for a moment; a resolver asks again.
  const asked = query('web.stack-a.internal', 'A');
  let bytes: Buffer | undefined;
  for (let i = 0; i < 20 && !bytes; i += 1) bytes = await answer(asked, '172.30.0.9', A.gateway_ip, 500);
  assert.deepEqual(data(packet.decode(bytes!)), ['172.30.0.4']);
  for (const bytes of [Buffer.from([255, 255, 1]), Buffer.alloc(70_000)]) {
    const socket = connect({ host: A.gateway_ip, port: 53, localAddress: '172.30.0.9' });
    socket.on('error', () => undefined);
    socket.end(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.deepEqual(data(await look('web.stack-a.internal')), ['172.30.0.4']);
});

test('a port that is taken is named; the next update listens', async () => {
  names.a.stop();
  const squatter = new Played({});
  await squatter.listen(A.gateway_ip);
  await assert.rejects(
    names.a.update({ self: A, peers: [B] }),
    /no names: cannot listen on 172\.30\.0\.2 port 53 .*NAMES=off/,
  );
  squatter.socket.close();
  assert.equal(await names.a.update({ self: A, peers: [B] }), true);
  assert.deepEqual(data(await look('web.stack-b.internal')), ['172.31.0.4', '172.31.0.5', '172.31.0.6']);
});

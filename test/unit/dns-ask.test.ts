/** Questions to servers on loopback that lose, forge, truncate and refuse. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import type { DecodedPacket } from 'dns-packet';
import { ask, inParallel } from '../../src/sources/dns/ask.ts';
import { NoAnswer } from '../../src/sources/dns/transport.ts';
import { ZoneReader } from '../../src/sources/dns/zone-reader.ts';
import { Fake, reply } from '../support/fake-dns.ts';

const QUESTION = { name: 'docker.example', type: 'PTR' } as const;
const never = () => new AbortController().signal;

const targets = (answer: { answers: readonly { data: unknown }[] }) => answer.answers.map(({ data }) => data);

test('what is forged or malformed is ignored, and the true answer still counts', async () => {
  const stranger = createSocket('udp4');
  const fake = await Fake.start((query, n) => {
    const forged = reply(query, ['forged.example']);
    stranger.send(forged, fake.seen.at(-1)!.port, '127.0.0.1');
    return [
      reply(query, ['wrong.id'], { id: query.id ^ 1 }),
      reply(query, ['wrong.question'], { questions: [{ name: 'other.example', type: 'PTR', class: 'IN' }] }),
      Buffer.from('junk'),
      reply(query, [`true.example-${n}`]),
    ];
  });
  try {
    assert.deepEqual(targets(await ask(fake.server, QUESTION, never())), ['true.example-1']);
  } finally {
    fake.close();
    stranger.close();
  }
});

test('a lost datagram is asked for again, with another id from another port', async () => {
  const fake = await Fake.start((query, n) => (n === 1 ? [] : [reply(query, ['a.example'])]));
  try {
    assert.deepEqual(targets(await ask(fake.server, QUESTION, never())), ['a.example']);
    assert.equal(fake.asked.length, 2);
    assert.notDeepEqual(fake.seen[0], fake.seen[1]);
  } finally {
    fake.close();
  }
});

test('ids and ports are not predictable', async () => {
  const fake = await Fake.start((query) => [reply(query, [])]);
  try {
    for (let n = 0; n < 20; n++) await ask(fake.server, QUESTION, never());
    assert.ok(new Set(fake.seen.map(({ id }) => id)).size > 15);
    assert.ok(new Set(fake.seen.map(({ port }) => port)).size > 10);
    const steps = fake.seen.slice(1).map(({ id }, i) => id - fake.seen[i]!.id);
    assert.ok(new Set(steps).size > 15, 'not counted');
  } finally {
    fake.close();
  }
});

test('a truncated answer is asked for by TCP', async () => {
  const names = Array.from({ length: 300 }, (_, i) => `stack-${i}.docker.example`);
  const fake = await Fake.start(
    (query) => [reply(query, names.slice(0, 2), { flags: 0x0600 })],
    (query) => [reply(query, names)],
  );
  try {
    assert.deepEqual(targets(await ask(fake.server, QUESTION, never())), names);
    assert.deepEqual(fake.asked, ['udp', 'tcp']);
  } finally {
    fake.close();
  }
});

test('no answer, by a server that is silent, gone or of few words, is said as such', async () => {
  const silent = await Fake.start(() => [Buffer.from('junk')]);
  try {
    const began = performance.now();
    await assert.rejects(
      ask(silent.server, QUESTION, never()),
      (cause: Error) => cause instanceof NoAnswer && /no answer from .* within .*ignored/.test(cause.message),
    );
    assert.ok(performance.now() - began > 2500, 'three tries');
    assert.equal(silent.asked.length, 3);
  } finally {
    silent.close();
  }
  await assert.rejects(ask(silent.server, QUESTION, never()), /nothing listens there/);
});

test('a question that is given up leaves at once', async () => {
  const silent = await Fake.start(() => []);
  const stop = new AbortController();
  try {
    const asked = ask(silent.server, QUESTION, stop.signal);
    setTimeout(() => stop.abort(new Error('stopped')), 20);
    const began = performance.now();
    await assert.rejects(asked, /stopped/);
    assert.ok(performance.now() - began < 400);
    await assert.rejects(ask(silent.server, QUESTION, stop.signal), /stopped/);
  } finally {
    silent.close();
  }
});

test('work is done a few at a time, and all of it', async () => {
  let [now, most] = [0, 0];
  const done: number[] = [];
  await inParallel(
    Array.from({ length: 50 }, (_, i) => i),
    4,
    async (item) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 1));
      now--;
      done.push(item);
    },
  );
  assert.deepEqual([most, done.length, new Set(done).size], [4, 50, 50]);
  await inParallel([], 4, async () => assert.fail());
});

test('a zone that does not exist is empty; a server that cannot tell is none, and the next one is asked', async () => {
  const rcode = (code: number) => Fake.start((query) => [reply(query, [], { flags: 0x0400 | code })]);
  const pointsElsewhere = (query: DecodedPacket) =>
    reply(query, [], { flags: 0, authorities: [{ name: 'example', type: 'NS', ttl: 1, data: 'ns.example' }] });
  const [nxdomain, servfail, refused] = [await rcode(3), await rcode(2), await rcode(5)];
  const lame = await Fake.start((query) => [pointsElsewhere(query)]);
  const reader = new ZoneReader('docker.example');
  const read = (...fakes: Fake[]) =>
    reader.read(
      fakes.map(({ server }) => server),
      never(),
    );
  try {
    assert.equal((await read(nxdomain)).entries.size, 0);
    await assert.rejects(read(servfail), /SERVFAIL/);
    await assert.rejects(
      read(lame, refused),
      (cause: Error) => /points to other servers/.test(cause.message) && /REFUSED/.test(cause.message),
    );
    const { server } = await read(servfail, lame, nxdomain);
    assert.deepEqual(server, nxdomain.server);
    const before = servfail.asked.length;
    await read(servfail, lame, nxdomain);
    assert.equal(servfail.asked.length, before, 'the one that answered is asked first from then on');
    await assert.rejects(read(), /DNS_SERVERS/);
  } finally {
    for (const fake of [nxdomain, servfail, refused, lame]) fake.close();
  }
});

// The service of a stack under chaos: answers the other stacks' probes and sends its own. prober.mjs NAME PROBE_MS
// UDP 7090: a probe every PROBE_MS to each target, answered with the name of who answers. TCP 7090: a connection to each target, 4 kB there and
// back ten times a second. TCP 7091 is for the test: GET /stats, GET /mark (counters anew), PUT /targets ([{ name, address }]).
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { connect, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';

const [name, probeMs] = [process.argv[2], Number(process.argv[3] ?? 1)];
const PORT = 7090;
/** A probe unanswered for this long is lost. */
const LOST_MS = 2000;
/** After this an answer is late. */
const ANSWERED_MS = 500;
const TCP_EVERY_MS = 100;
const TCP_SILENT_MS = 3000;
const BLOCK = 4096;
/** Probes remembered for each target; more than can be unanswered and not yet lost. */
const RING = 8192;
/**
 * On a busy machine this process may not get its turn for a second: what comes meanwhile must wait in the kernel, or the loss would be this
 * machine's and not the product's. The kernel gives as much of it as net.core.rmem_max allows.
 */
const SOCKET = { type: 'udp4', recvBufferSize: 4 << 20, lookup: (address, _, done) => done(null, address, 4) };

const [PROBE, ANSWER] = [1, 2];
const targets = new Map();
const wrong = [];

function complain(what) {
  if (wrong.length < 20) wrong.push(what);
}

/** kind, sequence number, length of the sender's name, both names. */
function message(kind, seq, from, to) {
  const bytes = Buffer.allocUnsafe(6 + from.length + to.length);
  bytes[0] = kind;
  bytes.writeUInt32BE(seq, 1);
  bytes[5] = from.length;
  bytes.latin1Write(from, 6);
  bytes.latin1Write(to, 6 + from.length);
  return bytes;
}

const namesOf = (bytes) => [bytes.latin1Slice(6, 6 + bytes[5]), bytes.latin1Slice(6 + bytes[5], bytes.length)];

const server = createSocket(SOCKET);
server.on('error', () => undefined);
server.on('message', (bytes, { address, port }) => {
  if (bytes.length < 8 || bytes[0] !== PROBE) return;
  const [who, to] = namesOf(bytes);
  if (to !== name) complain(`${who} asked ${to} and ${name} got it`);
  server.send(message(ANSWER, bytes.readUInt32BE(1), name, who), port, address);
});
server.bind(PORT);

/** Counters of a target anew. What is still unanswered belongs to what was before. */
const fresh = (target) =>
  Object.assign(target, {
    oldest: target.seq + 1,
    sent: 0,
    answered: 0,
    lost: 0,
    gapMs: 0,
    run: 0,
    tcpBlocks: 0,
    tcpResets: 0,
  });

function onAnswer(target, bytes) {
  if (bytes.length < 8 || bytes[0] !== ANSWER) return;
  const [who, to] = namesOf(bytes);
  if (who !== target.name || to !== name) complain(`${name} asked ${target.name}, ${who} answered to ${to}`);
  target.answeredAt = performance.now();
  const seq = bytes.readUInt32BE(1);
  if (seq < target.oldest || seq > target.seq || target.isAnswered[seq % RING]) return;
  target.isAnswered[seq % RING] = 1;
  target.answered += 1;
}

/** Counts what is answered or lost by now, in the order of sending, so that a row of lost ones is seen as one gap. */
function settle(target, now) {
  while (target.oldest <= target.seq) {
    const at = target.oldest % RING;
    const isAnswered = target.isAnswered[at];
    if (!isAnswered && now - target.sentAt[at] < LOST_MS) return;
    if (isAnswered) target.run = 0;
    else {
      target.lost += 1;
      target.run ||= target.sentAt[at];
      target.gapMs = Math.max(target.gapMs, target.sentAt[at] - target.run + probeMs);
    }
    target.oldest += 1;
  }
}

/** The longest gap, with what is too young to be lost but has had time for an answer. */
function longestGap(target, now) {
  let [longest, run] = [target.gapMs, target.run];
  for (let seq = target.oldest; seq <= target.seq; seq += 1) {
    const at = seq % RING;
    if (target.isAnswered[at]) run = 0;
    else if (now - target.sentAt[at] < ANSWERED_MS) break;
    else {
      run ||= target.sentAt[at];
      longest = Math.max(longest, target.sentAt[at] - run + probeMs);
    }
  }
  return Math.round(longest);
}

function probe(target, now) {
  target.seq += 1;
  target.sent += 1;
  target.sentAt[target.seq % RING] = now;
  target.isAnswered[target.seq % RING] = 0;
  if (target.open) target.socket.send(message(PROBE, target.seq, name, target.name), () => undefined);
}

let due = performance.now();
let lastTick = due;
/** Longest time in which this process did not get its turn. */
let stallMs = 0;
setInterval(() => {
  const now = performance.now();
  stallMs = Math.max(stallMs, now - lastTick);
  lastTick = now;
  // A busy machine wakes this late: what is due is sent, though never a burst of more than 50.
  for (let n = 0; due <= now && n < 50; n += 1, due += probeMs)
    for (const target of targets.values()) probe(target, now);
  if (due < now) due = now;
  for (const target of targets.values()) settle(target, now);
}, probeMs);

/** One connection to a target, for as long as it carries data. */
function converse(target) {
  const block = Buffer.alloc(BLOCK, target.name);
  const stream = connect({ host: target.address, port: PORT, noDelay: true });
  let received = 0;
  let timer;
  const write = () => stream.write(block);
  stream.setTimeout(TCP_SILENT_MS, () => stream.destroy());
  stream.on('connect', () => stream.write(`${target.name} ${name}\n`.padEnd(64)) && write());
  stream.on('data', (chunk) => {
    received += chunk.length;
    if (received < BLOCK) return;
    received = 0;
    target.tcpBlocks += 1;
    target.tcpAt = performance.now();
    timer = setTimeout(write, TCP_EVERY_MS);
  });
  stream.on('error', () => undefined);
  stream.on('close', () => {
    clearTimeout(timer);
    target.tcpResets += 1;
    if (targets.get(target.address) === target) setTimeout(() => converse(target), 200);
  });
}

createServer((stream) => {
  let greeted = false;
  stream.on('error', () => stream.destroy());
  stream.on('data', (chunk) => {
    if (!greeted) {
      greeted = true;
      const [to, from] = chunk.subarray(0, 64).toString('latin1').trim().split(' ');
      if (to !== name) complain(`a connection of ${from} for ${to} came to ${name}`);
      chunk = chunk.subarray(64);
    }
    stream.write(chunk);
  });
}).listen(PORT, '0.0.0.0');

function add(to, address) {
  const socket = createSocket(SOCKET);
  const times = { sentAt: new Float64Array(RING), isAnswered: new Uint8Array(RING) };
  const target = fresh({
    name: to,
    address,
    socket,
    open: false,
    seq: 0,
    answeredAt: performance.now(),
    tcpAt: 0,
    ...times,
  });
  socket.on('error', () => undefined);
  socket.on('message', (bytes) => onAnswer(target, bytes));
  // A connected socket takes answers of this address alone, and each send is spared a look-up.
  socket.connect(PORT, address, () => {
    target.open = true;
  });
  targets.set(address, target);
  converse(target);
}

function aim(list) {
  const stays = (target) => list.some(({ name: to, address }) => to === target.name && address === target.address);
  for (const target of targets.values()) {
    if (stays(target)) continue;
    targets.delete(target.address);
    target.socket.close();
  }
  for (const { name: to, address } of list) if (!targets.has(address)) add(to, address);
}

/** Datagrams that found a full queue at a socket of this container. */
function overflows() {
  const [names, values] = readFileSync('/proc/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Udp: '));
  return Number(values.split(' ')[names.split(' ').indexOf('RcvbufErrors')]);
}
let overflowsAtMark = overflows();

function stats() {
  const now = performance.now();
  for (const target of targets.values()) settle(target, now);
  const pairs = [...targets.values()].map((target) => ({
    to: target.name,
    sent: target.sent,
    answered: target.answered,
    lost: target.lost,
    gapMs: longestGap(target, now),
    silentMs: Math.round(now - target.answeredAt),
    tcpSilentMs: Math.round(now - target.tcpAt),
    tcpBlocks: target.tcpBlocks,
    tcpResets: target.tcpResets,
  }));
  return { name, stallMs: Math.round(stallMs), overflow: overflows() - overflowsAtMark, wrong, pairs };
}

createHttp((request, response) => {
  if (request.url === '/mark') {
    for (const target of targets.values()) fresh(target);
    wrong.length = 0;
    overflowsAtMark = overflows();
    stallMs = 0;
  }
  if (request.method !== 'PUT') return response.end(`${JSON.stringify(stats())}\n`);
  let text = '';
  request.on('data', (chunk) => {
    text += chunk;
  });
  request.on('end', () => {
    aim(JSON.parse(text));
    response.end(`${JSON.stringify(stats())}\n`);
  });
}).listen(PORT + 1, '0.0.0.0');

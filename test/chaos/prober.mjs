// The service of a stack under chaos: answers the other stacks' probes and sends its own. prober.mjs NAME PROBE_MS
// UDP 7090: a probe every PROBE_MS to each target, answered with the name of who answers. TCP 7090: a connection to each target, 4 kB there and
// back ten times a second. TCP 7091 is for the test: GET /stats, GET /mark (counters anew), PUT /targets ([{ name, address }]).
import { createSocket } from 'node:dgram';
import { createServer as createHttp } from 'node:http';
import { connect, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';

const [name, probeMs] = [process.argv[2], Number(process.argv[3] ?? 10)];
const PORT = 7090;
/** A probe unanswered for this long is lost. */
const LOST_MS = 2000;
const TCP_EVERY_MS = 100;
const TCP_SILENT_MS = 3000;
const BLOCK = 4096;

const targets = new Map();
const wrong = [];

const fresh = (target) =>
  Object.assign(target, { sent: 0, answered: 0, lost: 0, gapMs: 0, tcpBlocks: 0, tcpResets: 0 });

function complain(what) {
  if (wrong.length < 20) wrong.push(what);
}

const socket = createSocket('udp4');
socket.on('error', () => undefined);
socket.on('message', (bytes, from) => {
  const now = performance.now();
  const [kind, who, seq, to] = bytes.toString('latin1').split(' ');
  if (kind === 'probe') {
    if (to !== name) complain(`${who} asked ${to} and ${name} got it`);
    socket.send(`answer ${name} ${seq} ${who}`, from.port, from.address);
    return;
  }
  const target = targets.get(from.address);
  if (kind !== 'answer' || !target) return;
  if (who !== target.name || to !== name) complain(`${name} asked ${target.name}, ${who} answered to ${to}`);
  if (!target.pending.delete(Number(seq))) return;
  target.answered += 1;
  if (target.marked) target.gapMs = Math.max(target.gapMs, now - target.answeredAt);
  target.answeredAt = now;
});
socket.bind(PORT);

function probe(target, now) {
  for (const [seq, at] of target.pending) {
    if (now - at < LOST_MS) break;
    target.pending.delete(seq);
    target.lost += 1;
  }
  target.seq += 1;
  target.sent += 1;
  target.pending.set(target.seq, now);
  socket.send(`probe ${name} ${target.seq} ${target.name}`, PORT, target.address, () => undefined);
}

let due = performance.now();
setInterval(() => {
  const now = performance.now();
  // A busy machine wakes this late: what is due is sent, though never a burst of more than 50.
  for (let n = 0; due <= now && n < 50; n += 1, due += probeMs)
    for (const target of targets.values()) probe(target, now);
  if (due < now) due = now;
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

function aim(list) {
  for (const { name: to, address } of list) {
    if (targets.get(address)?.name === to) continue;
    const now = performance.now();
    const target = fresh({ name: to, address, seq: 0, pending: new Map(), answeredAt: now, tcpAt: 0, marked: false });
    targets.set(address, target);
    converse(target);
  }
  for (const address of targets.keys()) if (!list.some((one) => one.address === address)) targets.delete(address);
}

function stats() {
  const now = performance.now();
  const pairs = [...targets.values()].map(
    ({ name: to, sent, answered, lost, gapMs, answeredAt, tcpAt, tcpBlocks, tcpResets }) => ({
      to,
      sent,
      answered,
      lost,
      gapMs: Math.round(Math.max(gapMs, now - answeredAt)),
      silentMs: Math.round(now - answeredAt),
      tcpSilentMs: Math.round(now - tcpAt),
      tcpBlocks,
      tcpResets,
    }),
  );
  return { name, wrong, pairs };
}

createHttp((request, response) => {
  if (request.url === '/mark') {
    const now = performance.now();
    // What is still unanswered belongs to what was before.
    for (const target of targets.values()) target.pending.clear();
    for (const target of targets.values())
      Object.assign(fresh(target), { marked: true, answeredAt: Math.max(target.answeredAt, now - 1000) });
    wrong.length = 0;
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

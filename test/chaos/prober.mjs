// The service of a stack under chaos: answers the other stacks' probes and sends its own. prober.mjs NAME PROBE_MS
// UDP 7090: a probe every PROBE_MS to each target, answered with the name of who answers (probes.c). TCP 7090: a connection to each target, 4 kB
// there and back ten times a second. TCP 7091 is for the test: GET /stats, GET /mark (counters anew), PUT /targets ([{ name, address }]).
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { connect, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

const [name, probeMs] = process.argv.slice(2);
const PORT = 7090;
const TCP_EVERY_MS = 100;
const TCP_SILENT_MS = 3000;
const BLOCK = 4096;

const targets = new Map();
const wrong = [];

function complain(what) {
  if (wrong.length < 20) wrong.push(what);
}

const probes = spawn('/chaos-bin/probes', [name, probeMs ?? '1'], { stdio: ['pipe', 'pipe', 'inherit'] });
// Without its probes a service says nothing: its engine starts it again.
probes.on('exit', () => process.exit(1));
const waiting = [];
createInterface({ input: probes.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));

/** What the UDP part says to a line: its counters. */
function ask(line) {
  return new Promise((resolve) => {
    waiting.push(resolve);
    probes.stdin.write(`${line}\n`);
  });
}

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
  const stays = (target) => list.some(({ name: to, address }) => to === target.name && address === target.address);
  for (const target of targets.values()) if (!stays(target)) targets.delete(target.address);
  for (const { name: to, address } of list) {
    if (targets.has(address)) continue;
    const target = { name: to, address, tcpAt: 0, tcpBlocks: 0, tcpResets: 0 };
    targets.set(address, target);
    converse(target);
  }
  return ask(['targets', ...list.flatMap(({ name: to, address }) => [to, address])].join(' '));
}

/** Datagrams that found a full queue at a socket of this container. */
function overflows() {
  const [names, values] = readFileSync('/proc/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Udp: '));
  return Number(values.split(' ')[names.split(' ').indexOf('RcvbufErrors')]);
}
let overflowsAtMark = overflows();

function mark() {
  for (const target of targets.values()) Object.assign(target, { tcpBlocks: 0, tcpResets: 0 });
  wrong.length = 0;
  overflowsAtMark = overflows();
  return ask('mark');
}

async function stats(seen) {
  const { stallMs, wrong: astray, pairs } = await seen;
  const now = performance.now();
  const both = pairs.map((pair) => {
    const { tcpAt, tcpBlocks, tcpResets } = [...targets.values()].find((target) => target.name === pair.to) ?? {};
    return { ...pair, tcpSilentMs: Math.round(now - tcpAt), tcpBlocks, tcpResets };
  });
  return { name, stallMs, overflow: overflows() - overflowsAtMark, wrong: [...wrong, ...astray], pairs: both };
}

createHttp(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const seen = request.method === 'PUT' ? aim(JSON.parse(text)) : request.url === '/mark' ? mark() : ask('stats');
  response.end(`${JSON.stringify(await stats(seen))}\n`);
}).listen(PORT + 1, '0.0.0.0');

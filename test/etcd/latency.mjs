// Runs inside a host's namespace: puts changes of one stack's record into etcd, and prints when a bare watch tells of each.
//   latency.mjs ENDPOINT PREFIX CHANGES EVERY_MS     lines: `put N NS` and `told N NS`, nanoseconds of the monotonic clock all processes share
import { request } from 'node:http';

const [endpoint, prefix, changes, everyMs] = process.argv.slice(2);
const encode = (text) => Buffer.from(text).toString('base64');
const key = `${prefix}/stack-x/record`;
const print = (what, n) => process.stdout.write(`${what} ${n} ${process.hrtime.bigint()}\n`);

function call(path, body, onData) {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, endpoint), { method: 'POST' }, (response) => {
      response.on('data', onData ?? (() => undefined));
      response.on('end', resolve);
      if (onData) resolve();
    });
    sent.on('error', reject);
    sent.setNoDelay(true);
    sent.end(JSON.stringify(body));
  });
}

/** A stack on a host that is not there; its subnet says which change it is. */
function record(n) {
  const net = `10.200.${n}`;
  return JSON.stringify({
    stack_id: 'stack-x',
    vni: 1000,
    host_ip: '10.77.0.99',
    subnets: [`${net}.0/24`],
    gateway_ip: `${net}.2`,
    vtep_mac: '02:11:22:33:44:55',
    vxlan_port: 4789,
    instance: '0123456789abcdef',
    since: 1_700_000_000_000,
    boot: 1_700_000_000_000,
    seq: n,
  });
}

await call('/v3/watch', { create_request: { key: encode(key) } }, (chunk) => {
  for (const line of String(chunk).split('\n')) {
    if (line === '') continue;
    for (const { kv } of JSON.parse(line).result.events ?? []) {
      if (kv.value) print('told', JSON.parse(Buffer.from(kv.value, 'base64')).seq);
    }
  }
});
for (let n = 0; n < Number(changes); n += 1) {
  print('put', n);
  await call('/v3/kv/put', { key: encode(key), value: encode(record(n)) });
  await new Promise((resolve) => setTimeout(resolve, Number(everyMs)));
}
await call('/v3/kv/deleterange', { key: encode(key) });
process.exit(0);

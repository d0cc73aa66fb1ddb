/** A real Prometheus with the configuration that docs/metrics.md shows; each question of the dashboard then has an answer. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { down, up } from '../../src/embedded/embedded.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import {
  hostAddress,
  hostNamespace,
  quickstartTopology,
  stackAddresses,
  type Topology,
} from '../../src/embedded/topology.ts';
import { run } from '../../src/process/run.ts';
import { whenInterrupted } from '../support/interrupted.ts';
import { block } from '../support/readme.ts';

const SERVER = '127.0.0.1:9090';
/** The machine may be busy; all of it takes a few seconds otherwise. */
const PATIENCE_MS = 120_000;
const topology: Topology = {
  ...quickstartTopology(`pm${process.pid % 1_000_000}`, { PROBE_INTERVAL: '500ms', METRICS_PORT: 'auto' }),
};
const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
const scrape = block('docs/metrics.md', 'scrape');
let prometheus: ChildProcess | undefined;

/** Runs a command on the first host. */
const onHost = (...argv: string[]) => run(inside(hostNamespace(topology, 'host-1'), argv));
const query = (expression: string) => onHost('promtool', 'query', 'instant', `http://${SERVER}`, expression);

/** As in `network_mode: host`, where the router's address in the stack's network stands for its name. */
function start(): ChildProcess {
  // Its own name as well, which Prometheus would ask of name servers that are not there.
  const names = `127.0.0.1 localhost ${hostname()}\n${stackAddresses(topology.stacks[0]!).router} router\n`;
  writeFileSync(join(folder, 'hosts'), names);
  writeFileSync(join(folder, 'prometheus.yml'), `global: { scrape_interval: 1s }\n${scrape}`);
  const options = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const words = ['prometheus', ...options, `--web.listen-address=${SERVER}`, '--log.level=warn'];
  const hosts = `mount --bind '${folder}/hosts' /etc/hosts && exec "$@"`;
  // ip-netns(8): its mounts are its own.
  const [program, ...args] = inside(hostNamespace(topology, 'host-1'), ['sh', '-c', hosts, 'sh', ...words]);
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

before(async () => {
  await up(topology);
  prometheus = start();
});
async function remove(): Promise<void> {
  if (prometheus && prometheus.exitCode === null) {
    prometheus.kill('SIGKILL');
    await once(prometheus, 'close');
  }
  await down(topology.prefix);
  rmSync(folder, { recursive: true, force: true });
}
after(remove);
whenInterrupted(remove);

/** Repeats until the list of what is missing is empty. */
async function untilNothing(missing: () => Promise<string[]>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = await missing();
    if (left.length === 0) return;
    if (performance.now() > end) assert.deepEqual(left, []);
    await sleep(500);
  }
}

/** Those of the questions to which Prometheus knows no answer, or none that is a number. */
async function unanswered(expressions: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const expression of expressions) {
    const { code, stdout, stderr } = await query(expression);
    if (code !== 0 || stdout.trim() === '' || / => (NaN|[+-]Inf) /.test(stdout))
      left.push(`${expression}: ${stdout}${stderr}`);
  }
  return left;
}

test('promtool takes the configuration to the letter', async () => {
  writeFileSync(join(folder, 'as-shown.yml'), scrape);
  const { code, stdout, stderr } = await run(['promtool', 'check', 'config', join(folder, 'as-shown.yml')]);
  assert.equal(code, 0, stdout + stderr);
});

test('both jobs are scraped', () =>
  untilNothing(async () => {
    const { stdout } = await query('up == 1');
    return ['docker-router', 'docker-router-discovery'].filter((job) => !stdout.includes(`job="${job}"`));
  }));

/** Input that discovery drops: no series of that before there was some. */
function noise(): Promise<unknown> {
  const send = `const s = require('node:dgram').createSocket('udp4'); s.bind(0, '${hostAddress(topology, 'host-2')}', () => {
    s.setMulticastInterface('${hostAddress(topology, 'host-2')}'); s.send('noise', 4790, '239.1.1.1', () => s.close()); })`;
  return run(inside(hostNamespace(topology, 'host-2'), [process.execPath, '-e', send]));
}

test('every panel of the dashboard shows something, and so does its choice of stacks', async () => {
  const text = readFileSync(new URL('../../docs/grafana/docker-router.json', import.meta.url), 'utf8');
  const expressions: string[] = [];
  JSON.parse(text, (key, value) => {
    if (key === 'expr') expressions.push(value.replaceAll('$stack', '.*').replaceAll('$__rate_interval', '10s'));
    return value;
  });
  assert.ok(expressions.length >= 12);
  assert.ok(expressions.every((expression) => !expression.includes('$')));
  await untilNothing(async () => {
    await noise();
    return unanswered(expressions);
  });
  // Its query is label_values(docker_router_build_info, stack).
  assert.match((await query('count by (stack) (docker_router_build_info)')).stdout, /\{stack="stack-a"\} => 1 /);
  assert.match((await query('docker_router_peers{condition="ok"}')).stdout, /stack="stack-a"\} => 2 /);
});

test('what docs/metrics.md finds worth an alert can be asked, and is quiet here', async () => {
  const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const alerts = [...text.matchAll(/`([^`\n]*docker_router[^`\n]* (?:==|>) \d+)`/g)].map(([, alert]) => alert!);
  assert.ok(alerts.length >= 4);
  await untilNothing(() => unanswered(alerts.map((alert) => alert.replace(/ (==|>) \d+$/, ''))));
  for (const alert of alerts) assert.equal((await query(alert)).stdout.trim(), '', alert);
});

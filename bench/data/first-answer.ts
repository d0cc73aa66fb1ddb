/** From `docker compose up -d` to the first answer of a stack on the other host, against a stack that only asks a neighbour. */
import { atMost, type Findings } from '../rows.ts';
import { interleaved, percentile } from '../stats.ts';
import { inHost, ok } from './lab.ts';
import { composeLine, type Endpoint, REPLY_PORT, type StackOptions } from './world.ts';

const STACK: StackOptions = { name: 'stack-n', host: 2, subnet: '172.25.0' };
const ASK = `import socket, sys, time
while True:
    try:
        s = socket.create_connection((sys.argv[1], ${REPLY_PORT}), timeout=0.1); s.send(b"x"); s.recv(1); break
    except OSError: time.sleep(0.01)`;

async function untilAnswer(address: string, services: readonly string[]): Promise<number> {
  const began = performance.now();
  await ok(STACK.host, ...composeLine(STACK, 'up', '-d', ...services));
  const pid = await ok(STACK.host, 'docker', 'inspect', '-f', '{{.State.Pid}}', `${STACK.name}-service-1`);
  await ok(STACK.host, 'timeout', '20', 'nsenter', `--net=/proc/${pid}/ns/net`, 'python3', '-c', ASK, address);
  const took = performance.now() - began;
  await inHost(STACK.host, ...composeLine(STACK, 'down', '-v', '-t', '1'));
  return took;
}

/** Without us the same stack asks the server in its own host's network, over its own bridge: what Docker itself takes. */
export async function firstAnswer(other: Endpoint, rounds: number): Promise<Findings> {
  const samples = await interleaved(rounds, {
    'with docker-router': () => untilAnswer(other.address, []),
    without: () => untilAnswer(`${STACK.subnet}.1`, ['service']),
  });
  const differences = samples['with docker-router']!.map((took, round) => (took - samples.without![round]!) / 1000);
  return {
    rows: [
      {
        id: 'data.start',
        what: 'docker compose up -d -> first answer from the other host, minus the same without us, p95',
        goal: atMost(1),
        value: percentile(differences, 0.95),
        unit: 's',
        note: `of ${rounds}; two containers more to create are part of it`,
        samples,
      },
    ],
    series: [],
  };
}

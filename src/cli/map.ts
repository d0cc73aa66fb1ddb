/** `docker-router map`: the stacks, hosts and tunnels as a page in the browser. */
import type { AddressInfo } from 'node:net';
import { port as portNumber } from '../config/parsers.ts';
import { list, type Parse, Variables } from '../config/variables.ts';
import { serveMap } from '../map/server.ts';
import { HealthFile } from '../process/health.ts';
import { exitOnConfigError } from '../process/run-daemon.ts';

const HELP = `docker-router map: shows the stacks, hosts and tunnels as a page in the browser

Usage: docker-router map [--help]

Needs the shared volume, read-only, and nothing else. Optional variables:
  MAP_LISTEN  ADDRESS:PORT (127.0.0.1:8088); the next free port is taken where it is in use, unless MAP_STRICT=1
  MAP_NAMES   names by which browsers may ask, besides localhost; several separated by commas
  STATE_DIR   the shared volume (/var/lib/docker-router)
`;

/** Several stacks of one host with a map each: this many ports are tried. */
const TRIES = 20;

const listen: Parse<{ address: string; port: number }> = (text) => {
  const [, address, port] = /^(\[[0-9a-f:]+\]|[0-9.]+):(\d+)$/i.exec(text) ?? [];
  if (!address) throw new Error('must be ADDRESS:PORT, such as 127.0.0.1:8088');
  return { address: address.replaceAll(/[[\]]/g, ''), port: port === '0' ? 0 : portNumber(port!) };
};
const name: Parse<string> = (text) => {
  if (!/^[a-z0-9.-]{1,253}$/i.test(text)) throw new Error('must be host names');
  return text;
};

function readConfig() {
  const vars = new Variables(process.env);
  const config = {
    ...vars.optional('MAP_LISTEN', listen, { address: '127.0.0.1', port: 8088 }),
    names: vars.optional('MAP_NAMES', list(name), []),
    strict: vars.text('MAP_STRICT') === '1',
    folder: vars.text('STATE_DIR') ?? '/var/lib/docker-router',
    healthFile: vars.text('HEALTH_FILE') ?? '/run/docker-router/health',
  };
  vars.finish();
  return config;
}

async function serve(config: ReturnType<typeof readConfig>) {
  for (let port = config.port; ; port += 1)
    try {
      return await serveMap({ ...config, port });
    } catch (cause) {
      const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || config.strict || port >= config.port + TRIES) throw cause;
    }
}

export async function main(args: readonly string[]): Promise<number | undefined> {
  if (args.length > 0) {
    const asked = ['--help', '-h', 'help'].includes(args[0]!);
    (asked ? process.stdout : process.stderr).write(HELP);
    return asked ? 0 : 64;
  }
  let config: ReturnType<typeof readConfig>;
  try {
    config = readConfig();
  } catch (cause) {
    exitOnConfigError('map', cause);
  }
  const server = await serve(config).catch((cause: Error) => {
    process.stderr.write(`docker-router map: ${cause.message}\n`);
    process.exit(1);
  });
  const { address, port } = server.address() as AddressInfo;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}/`;
  process.stdout.write(`the map is at ${url}\n`);
  const health = new HealthFile(config.healthFile);
  health.set('ok', `the map is at ${url}`);
  health.start();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
  return undefined;
}

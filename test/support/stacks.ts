/** Compose stacks in the lab. */
import assert from 'node:assert/strict';
import type { Result } from '../../src/process/run.ts';
import { inHost, ok, writeInHost } from './lab.ts';

export interface Stack {
  readonly name: string;
  readonly host: number;
  /** The ordinary service that the others reach. */
  readonly service: string;
  readonly files: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const EXAMPLES = '/repo/examples/multi-stack';

/** Stack a, b or c of examples/multi-stack on a host; `extra` are further compose files, such as an override. */
export function exampleStack(
  letter: 'a' | 'b' | 'c',
  host: number,
  env: Record<string, string> = {},
  extra: string[] = [],
): Stack {
  return {
    name: `stack-${letter}`,
    host,
    service: `test-${letter}`,
    files: [`${EXAMPLES}/docker-compose.stack-${letter}.yml`, ...extra],
    env: { TEST_IMAGE: 'docker-router-service', ...env },
  };
}

export interface StackSpec {
  /** Third and following parts of the network, such as `172.27.0`. */
  readonly net: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the service `web` has besides its image, as one line of YAML. */
  readonly web?: string;
  /** Lines of YAML for further services. */
  readonly services?: string;
  /** Lines of YAML for the router service, beside `extends`. */
  readonly router?: string;
  /** The same for the discovery service. */
  readonly discovery?: string;
  /** The whole ipam.config entry, where it is not to be the usual one; or several. */
  readonly ipam?: string;
  /** What the network has besides, as one line of YAML. */
  readonly network?: string;
  readonly subnet?: string;
}

/** Writes a stack's compose file into its host: one service `web` and the two containers. */
export async function writeStack(name: string, host: number, spec: StackSpec): Promise<Stack> {
  const { net, subnet = `${net}.0/24` } = spec;
  const ipam = spec.ipam ?? `{ subnet: ${subnet}, gateway: ${net}.1, aux_addresses: { DefaultGatewayIPv4: ${net}.2 } }`;
  const path = `/root/${name}.yml`;
  const text = `name: ${name}
services:
  web: { image: docker-router-service, volumes: ["docker-router:/shared:ro"]${spec.web ? `, ${spec.web}` : ''} }
${(spec.services ?? '').replace(/^(?=.)/gm, '  ')}  discovery:
    extends: { file: /repo/examples/docker-router.yml, service: discovery }
${(spec.discovery ?? '').replace(/^(?=.)/gm, '    ')}
  router:
    extends: { file: /repo/examples/docker-router.yml, service: router }
${(spec.router ?? '').replace(/^(?=.)/gm, '    ')}
networks:
  default: { ipam: { config: [${ipam}] }${spec.network ? `, ${spec.network}` : ''} }
volumes: { docker-router: {} }
`;
  await writeInHost(host, path, text);
  return { name, host, service: 'web', files: [path], env: { ...spec.env } };
}

function composeLine(stack: Stack, words: readonly string[]): string[] {
  const env = Object.entries(stack.env).map(([name, value]) => `${name}=${value}`);
  return [
    'env',
    ...env,
    'docker',
    'compose',
    '--progress',
    'quiet',
    ...stack.files.flatMap((file) => ['-f', file]),
    ...words,
  ];
}

export const compose = (stack: Stack, ...words: string[]): Promise<string> =>
  ok(stack.host, ...composeLine(stack, words));
export const tryCompose = (stack: Stack, ...words: string[]): Promise<Result> =>
  inHost(stack.host, ...composeLine(stack, words));

/** Starts it and returns when its containers are healthy. */
export const up = (stack: Stack): Promise<string> => compose(stack, 'up', '-d', '--wait', '--wait-timeout', '90');
export const down = (stack: Stack): Promise<string> => compose(stack, 'down', '-v', '-t', '3');

/** Name of a service's container. */
export const container = (stack: Stack, service: string): string => `${stack.name}-${service}-1`;

/** Address of a service on the stack's network. */
export function addressOf(stack: Stack, service = stack.service): Promise<string> {
  return ok(
    stack.host,
    'docker',
    'inspect',
    '-f',
    '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
    container(stack, service),
  );
}

export const inContainer = (stack: Stack, service: string, ...argv: string[]): Promise<Result> =>
  inHost(stack.host, 'docker', 'exec', container(stack, service), ...argv);

/** The output of a command in a container. @throws when it fails. */
export const execIn = (stack: Stack, service: string, ...argv: string[]): Promise<string> =>
  ok(stack.host, 'docker', 'exec', container(stack, service), ...argv);

/** Seconds until the stack's service had an answer over TCP from each of the others. @throws after `seconds`, naming who did not answer. */
export async function reaches(stack: Stack, others: readonly Stack[], seconds: number): Promise<number> {
  const urls = await Promise.all(others.map(async (other) => `http://${await addressOf(other)}/`));
  return Number(await execIn(stack, stack.service, 'node', '/service/probe.mjs', 'until', String(seconds), ...urls));
}

/** Every stack reaches every other one, within `seconds` each. */
export async function allReach(stacks: readonly Stack[], seconds: number): Promise<void> {
  await Promise.all(
    stacks.map((stack) =>
      reaches(
        stack,
        stacks.filter((other) => other !== stack),
        seconds,
      ),
    ),
  );
}

/** discovery.json of a stack, as its service sees it. */
export async function discoveryFile(stack: Stack): Promise<{
  self: Record<string, unknown>;
  peers: ({ stack_id: string; status: string; reason?: string } & Record<string, unknown>)[];
}> {
  return JSON.parse(await execIn(stack, stack.service, 'cat', '/shared/discovery.json'));
}

/** Remote subnets in the router's kernel. */
export async function routesOf(stack: Stack): Promise<string[]> {
  const text = await execIn(stack, 'router', 'ip', '-4', 'route', 'show', 'proto', '157');
  return text
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((word) => word !== 'default' && word !== '');
}

export function assertLog(text: string, pattern: RegExp): void {
  assert.match(text, pattern, text.split('\n').slice(-15).join('\n'));
}

/** What a service of the stack has logged. */
export async function logs(stack: Stack, service: string): Promise<string> {
  const { stdout, stderr } = await inHost(stack.host, 'docker', 'logs', container(stack, service));
  return stdout + stderr;
}

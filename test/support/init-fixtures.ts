/** Compose files after the shapes of well-known projects (test/init/fixtures), and what init makes of each. */
import { fileURLToPath } from 'node:url';

export interface Shape {
  readonly name: string;
  /** Words behind `docker-router init`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly project: string;
  readonly stackId?: string;
  readonly network: string;
  /** The file that is written. */
  readonly target: string;
  /** Words that Compose needs to find it. */
  readonly files?: readonly string[];
  readonly connected: readonly string[];
  /** Service -> why not. */
  readonly left?: Readonly<Record<string, RegExp>>;
  /** Services with name servers of their own, which they keep. */
  readonly ownDns?: Readonly<Record<string, readonly string[]>>;
  readonly names?: { readonly discovery: string; readonly router: string; readonly volume: string };
  /** Entry of ipam.config, where the user's file says something of it. */
  readonly ipam?: Readonly<Record<string, unknown>>;
  readonly mtu?: string;
  /** Its own file needs a newer Compose than the lab's. */
  readonly newer?: true;
}

export const FIXTURES = fileURLToPath(new URL('../init/fixtures', import.meta.url));

export const SHAPES: readonly Shape[] = [
  {
    name: 'guestbook',
    project: 'guestbook',
    network: 'default',
    target: 'docker-compose.override.yml',
    connected: ['web', 'db'],
  },
  {
    name: 'voting',
    project: 'voting',
    network: 'back-tier',
    target: 'compose.override.yaml',
    connected: ['vote', 'result', 'worker'],
    left: { proxy: /^only on front-tier$/ },
  },
  {
    name: 'behind-proxy',
    project: 'behind-proxy',
    network: 'default',
    target: 'docker-compose.override.yml',
    connected: ['app', 'jobs', 'db'],
  },
  {
    name: 'media-vpn',
    project: 'media-vpn',
    network: 'default',
    target: 'compose.override.yml',
    connected: ['vpn', 'downloads', 'search'],
    left: { library: /network of the host/, backup: /network_mode: none/ },
  },
  {
    name: 'workflows',
    project: 'workflows',
    network: 'flows',
    target: 'docker-compose.override.yaml',
    connected: ['db', 'scheduler', 'worker'],
  },
  {
    name: 'monorepo',
    project: 'mono',
    network: 'default',
    target: 'compose.override.yaml',
    connected: ['billing', 'gateway'],
    left: { search: /^only on search-only$/ },
  },
  {
    name: 'inherited',
    project: 'inherited',
    network: 'inner',
    target: 'compose.override.yaml',
    connected: ['base', 'api', 'admin'],
    left: { metrics: /network of the host/ },
    ownDns: { admin: ['192.0.2.53'] },
  },
  {
    name: 'tools',
    project: 'tools',
    network: 'default',
    target: 'compose.override.yaml',
    connected: ['app', 'shell', 'migrate'],
  },
  {
    name: 'mail',
    project: 'mail',
    network: 'mail-network',
    target: 'docker-compose.override.yml',
    connected: ['unbound', 'smtp', 'imap'],
    ownDns: { smtp: ['172.22.7.2'] },
    ipam: {
      subnet: '172.22.7.0/24',
      gateway: '172.22.7.1',
      aux_addresses: { DefaultGatewayIPv4: '172.22.7.3' },
    },
  },
  {
    name: 'production',
    args: ['-f', 'compose.yaml', '-f', 'compose.prod.yaml'],
    project: 'production',
    network: 'default',
    target: 'compose.docker-router.yaml',
    files: ['compose.yaml', 'compose.prod.yaml', 'compose.docker-router.yaml'],
    connected: ['app'],
    left: { cache: /^only on cache$/ },
  },
  {
    name: 'swarm',
    project: 'swarm',
    network: 'default',
    target: 'docker-compose.override.yml',
    connected: ['web'],
    left: { agent: /^only on cluster$/ },
  },
  {
    name: 'tuned',
    project: 'tuned',
    network: 'default',
    target: 'compose.docker-router.yaml',
    files: ['docker-compose.yml', 'docker-compose.override.yml', 'compose.docker-router.yaml'],
    connected: ['app', 'mailbox'],
  },
  {
    name: 'My_Names',
    project: 'my_names',
    stackId: 'my-names',
    network: 'default',
    target: 'compose.override.yaml',
    connected: ['router', 'discovery', 'map'],
    names: { discovery: 'docker-router-discovery', router: 'docker-router', volume: 'docker-router-state' },
  },
  {
    name: 'prepared',
    project: 'prepared',
    network: 'default',
    target: 'compose.override.yaml',
    connected: ['app'],
    ipam: {
      subnet: '10.66.6.0/24',
      ip_range: '10.66.6.128/25',
      gateway: '10.66.6.254',
      aux_addresses: { DefaultGatewayIPv4: '10.66.6.253' },
    },
    mtu: '1400',
  },
  {
    name: 'preferred',
    project: 'preferred',
    network: 'main',
    target: 'compose.override.yaml',
    connected: ['app', 'db'],
    newer: true,
  },
];

/** Files that cannot be connected as they are, and what init says. */
export const REFUSED: readonly { readonly name: string; readonly says: RegExp }[] = [
  { name: 'home', says: /no service of this stack is on a network of its own/ },
  { name: 'guest', says: /no network of this stack can have the router as its gateway:\s+default: external/ },
];

/** The map's web server: four files and the view, read-only, for whoever is on this host. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { readCapped } from '../state/atomic-file.ts';
import { MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import { MAX_ROUTER_BYTES } from '../state/router-file.ts';
import { MAX_STATUS_BYTES } from '../state/status-file.ts';
import { viewOf } from './view.ts';

/** Several open pages share one reading of the files. */
const KEPT_MS = 500;

const SECURITY = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

const ASSETS: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/map.js': ['map.js', 'text/javascript; charset=utf-8'],
  '/map.css': ['map.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
};

/** The page's files: beside the bundle, or where the build puts them when this runs from source. */
async function loadAssets(): Promise<ReadonlyMap<string, { type: string; bytes: Buffer }>> {
  const places = ['../map/', '../../router/dist/map/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  for (const place of places) {
    try {
      const entries = Object.entries(ASSETS).map(async ([path, [file, type]]) => {
        return [path, { type, bytes: await readFile(place + file) }] as const;
      });
      return new Map(await Promise.all(entries));
    } catch {
      // The next one.
    }
  }
  throw new Error('the files of the page are missing: npm run build');
}

/** What the browser asked by. Another name that leads here is a page elsewhere that wants to read ours (DNS rebinding). */
function isOurName(request: IncomingMessage, names: ReadonlySet<string>): boolean {
  const name = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  return names.has(name);
}

class View {
  readonly #folder: string;
  #text = '';
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async json(): Promise<string> {
    if (performance.now() - this.#readAt < KEPT_MS) return this.#text;
    const read = (name: string, bytes: number) => readCapped(`${this.#folder}/${name}`, bytes).catch(() => '');
    const [discovery, router, status] = await Promise.all([
      read('discovery.json', MAX_DISCOVERY_BYTES),
      read('router.json', MAX_ROUTER_BYTES),
      read('status.json', MAX_STATUS_BYTES),
    ]);
    this.#text = JSON.stringify(viewOf({ discovery, router, status }, Date.now()));
    this.#readAt = performance.now();
    return this.#text;
  }
}

function answer(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { ...SECURITY, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

export interface MapServer {
  readonly address: string;
  readonly port: number;
  /** Where the files are. */
  readonly folder: string;
  /** Names besides localhost and the loopback addresses by which a browser may ask. */
  readonly names: readonly string[];
}

/** @throws when the address or port cannot be had */
export async function serveMap({ address, port, folder, names }: MapServer): Promise<Server> {
  const assets = await loadAssets();
  const ours = new Set(['localhost', '127.0.0.1', '[::1]', ...names.map((name) => name.toLowerCase())]);
  const view = new View(folder);
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000, maxHeaderSize: 8192 });
  server.maxConnections = 64;
  server.on('request', async (request, response) => {
    const text = (status: number, words: string) => answer(response, status, 'text/plain; charset=utf-8', `${words}\n`);
    try {
      if (!isOurName(request, ours)) return text(421, 'ask by localhost, or set MAP_NAMES');
      if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'read only');
      const path = (request.url ?? '').split('?')[0]!;
      const asset = assets.get(path);
      if (asset) return answer(response, 200, asset.type, asset.bytes);
      if (path === '/view.json') return answer(response, 200, 'application/json', await view.json());
      return text(404, 'not here');
    } catch (cause) {
      text(500, (cause as Error).message);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  return server;
}

// Writes the bundle of each image beside its Dockerfile: `npm run build`.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
// What `docker-router init` writes is what people copy by hand.
const template = await readFile(`${root}/examples/docker-router.yml`, 'utf8');
const { version } = JSON.parse(await readFile(`${root}/package.json`, 'utf8'));

/** What both images have besides; a Dockerfile sees its own folder only, so it comes with the bundle. */
const SHARED = ['supervise', 'healthcheck', 'compact.mjs'];

/** @param {string} image @param {string} name @param {string} entry */
async function bundle(image, name, entry) {
  const target = `${root}/${image}/dist`;
  // Written beside it and renamed: whoever starts a daemon meanwhile finds the old bundle or the new one.
  const outdir = `${target}.${process.pid}`;
  await build({
    entryPoints: { [name]: `${root}/${entry}` },
    outdir,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // A source that is not switched on stays an unread file: splitting keeps each lazy import in a chunk of its own.
    splitting: true,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    legalComments: 'none',
    // Less text to hold in memory. Names are kept in error messages by the source they are thrown in, not by stack traces.
    minify: true,
    define: {
      'process.env.DOCKER_ROUTER_VERSION': JSON.stringify(version),
      'process.env.DOCKER_ROUTER_TEMPLATE': JSON.stringify(template),
    },
    // Some dependencies are CommonJS and call require(), which ES modules do not have.
    banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
  for (const file of SHARED) await copyFile(`${root}/image/${file}`, `${outdir}/${file}`);
  if (image === 'router') await mapPage(`${outdir}/map`);
  // The same again: whoever is reading it goes on. Its time says that it is current.
  if (await sameFolder(outdir, target)) {
    await utimes(`${target}/${name}.mjs`, new Date(), new Date());
    return rm(outdir, { recursive: true });
  }
  await rm(target, { recursive: true, force: true });
  await rename(outdir, target);
}

/** Whether two folders hold the same files with the same bytes and modes. @param {string} a @param {string} b */
async function sameFolder(a, b) {
  const [mine, theirs] = await Promise.all([a, b].map(contents));
  return JSON.stringify(mine) === JSON.stringify(theirs);
}

/** @param {string} folder @returns {Promise<string[]>} a line a file; none when there is no such folder */
async function contents(folder) {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const lines = names.sort().map(async (name) => {
    const path = `${folder}/${name}`;
    const { mode } = await stat(path);
    const hash = createHash('sha256');
    if (!(mode & constants.S_IFDIR)) hash.update(await readFile(path));
    return `${name} ${mode} ${hash.digest('hex')}`;
  });
  return Promise.all(lines);
}

/** The page of `docker-router map`, for browsers. @param {string} outdir */
async function mapPage(outdir) {
  const page = `${root}/src/map/page`;
  await build({
    entryPoints: { map: `${page}/main.ts`, style: `${page}/map.css` },
    outdir,
    bundle: true,
    platform: 'browser',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    minify: true,
    logLevel: 'warning',
  });
  await rename(`${outdir}/style.css`, `${outdir}/map.css`);
  for (const file of ['index.html', 'icon.svg']) await copyFile(`${page}/${file}`, `${outdir}/${file}`);
}

await Promise.all([
  bundle('discovery', 'docker-router-discovery', 'src/discovery/main.ts'),
  bundle('router', 'docker-router', 'src/cli/main.ts'),
]);

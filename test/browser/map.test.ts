/** The map in a real browser: what a person sees, by mouse, keyboard and screen reader, in light and dark, on a desk and a phone. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { serveMap } from '../../src/map/server.ts';
import { Demo } from '../support/map-demo.ts';

const folder = mkdtempSync(join(tmpdir(), 'docker-router-map-'));
const demo = new Demo(folder);
let browser: Browser;
let server: Awaited<ReturnType<typeof serveMap>>;
let origin = '';
const complaints: string[] = [];

before(async () => {
  demo.write();
  server = await serveMap({ address: '127.0.0.1', port: 0, folder, names: [] });
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  // No sandbox: tests run as root, and load nothing but our own page.
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
});
after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A page that has drawn its stacks. What it asks elsewhere and what it complains of ends in `complaints`. */
async function open(
  t: { after(end: () => Promise<unknown>): void },
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('request', (asked) => {
    if (!asked.url().startsWith(origin)) complaints.push(`asked ${asked.url()}`);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(`${origin}/`);
  await page.locator('.stack').first().waitFor();
  return page;
}

const inPage = readFileSync(new URL('in-page.js', import.meta.url), 'utf8');
const measure = <T>(page: Page, what: string) =>
  page.evaluate<T>(
    `(${inPage
      .replace(/^\/\/.*$/gm, '')
      .trim()
      .replace(/;$/, '')}).${what}()`,
  );
const stack = (page: Page, name: string) => page.locator('.stack > button', { hasText: name });
/** It has seen one measurement: the server may answer for half a second with what it read before, when there was none. */
const measuredOnce = (page: Page) => stack(page, 'search').getByText('0.42 ms').waitFor();
const line = (page: Page, health: string) => page.locator(`.tunnel[data-health="${health}"]`);

test('stacks, hosts and tunnels, with the reason beside what is broken', async (t) => {
  const page = await open(t);
  assert.equal(await page.title(), 'shop · Docker Router');
  assert.equal(await page.locator('.stack').count(), demo.peers.length);
  assert.equal(await page.locator('.host').count(), new Set(demo.peers.map(({ host_ip }) => host_ip)).size);
  assert.equal(await page.locator('.tunnel').count(), demo.peers.length);
  assert.match(await stack(page, 'legacy-shop').innerText(), /overlaps 10\.201\.12\.0\/24 of stack billing/);
  assert.match(
    await stack(page, 'reports').innerText(),
    /nothing comes back through the tunnel: is UDP 10\.0\.1\.7:4789 open/,
  );
  assert.match(await stack(page, 'warehouse').innerText(), /18\.6 ms[\s\S]*11 % of the probes get lost/);
  assert.match(await stack(page, 'search').innerText(), /0\.42 ms/);
  assert.match(await page.locator('#counts').innerText(), /4 connected\s+2 to look at\s+1 unreachable\s+1 refused/);
  const lines = { good: 4, lossy: 1, stale: 1, broken: 1, refused: 1 };
  for (const [health, count] of Object.entries(lines)) assert.equal(await line(page, health).count(), count, health);
});

test('every line ends at its stack', async (t) => {
  for (const width of [1280, 820, 390]) {
    const page = await open(t, { viewport: { width, height: 800 } });
    const far = await measure<number>(page, 'strays');
    assert.equal(far, 0, `${width} pixels wide`);
  }
});

test('it is live: traffic moves, a stack that comes, breaks and goes is seen and said', async (t) => {
  const page = await open(t);
  await measuredOnce(page);
  assert.equal(await page.locator('.flow').count(), 0, 'one measurement is no rate');
  demo.pass(2, { search: 2_000_000 });
  await page.locator('.flow').first().waitFor({ state: 'attached' });
  assert.equal(await page.locator('.flow').count(), 1);
  assert.match(await stack(page, 'search').innerText(), /↓ 1\.0 MB\/s/);
  demo.add({ stack_id: 'newcomer', host_ip: '10.0.1.9' });
  await stack(page, 'newcomer').waitFor();
  await page.locator('#news', { hasText: 'newcomer' }).waitFor({ state: 'attached' });
  demo.measure('newcomer', { silent: 7, loss: 1 });
  await page.locator('.stack[data-health="broken"]', { hasText: 'newcomer' }).waitFor();
  demo.remove('newcomer');
  await stack(page, 'newcomer').waitFor({ state: 'detached' });
  demo.problem('no-handle', 'the handle of the host is missing: add the line to the volumes');
  await page.getByText('the handle of the host is missing').waitFor();
  demo.problem();
  await page.locator('#alerts').waitFor({ state: 'hidden' });
});

test('by keyboard alone: from stack to stack, open one, and an update does not take the focus away', async (t) => {
  const page = await open(t);
  const focused = () => page.locator(':focus').textContent();
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'To the stacks');
  await page.keyboard.press('ArrowDown');
  const first = await focused();
  await page.keyboard.press('ArrowDown');
  assert.notEqual(await focused(), first);
  await page.keyboard.press('ArrowUp');
  assert.equal(await focused(), first);
  await page.keyboard.press('Enter');
  const detail = page.locator('.detail:visible');
  await detail.waitFor();
  assert.match(await detail.innerText(), /Subnets[\s\S]*Tunnel to[\s\S]*Last heard/);
  demo.pass(2, { billing: 10_000 });
  await page.waitForResponse((response) => response.url().endsWith('/view.json'));
  assert.equal(await focused(), first);
  assert.ok(await detail.isVisible());
  await page.keyboard.press('Enter');
  await detail.waitFor({ state: 'hidden' });
});

test('a screen reader hears what the colours say', async (t) => {
  const page = await open(t);
  const heard = await page.locator('body').ariaSnapshot();
  assert.match(heard, /heading "shop" \[level=1\]/);
  assert.match(heard, /button "legacy-shop , refused subnet 10\.201\.12\.0\/24 overlaps/);
  assert.match(heard, /button "reports , nothing gets through/);
  assert.match(heard, /button "search , connected/);
  assert.match(heard, /region "10\.0\.1\.5 2 stacks"/);
});

for (const colorScheme of ['light', 'dark'] as const)
  test(`${colorScheme}: every text stands out from its ground`, async (t) => {
    const page = await open(t, { colorScheme });
    const ground = await measure<string>(page, 'ground');
    assert.equal(Number(/\d+/.exec(ground)![0]) < 128, colorScheme === 'dark', ground);
    const [worst] = await measure<{ ratio: number; text: string }[]>(page, 'contrasts');
    assert.ok(worst!.ratio >= 4.5, `${worst!.text}: ${worst!.ratio.toFixed(2)}`);
  });

test('on a phone nothing sticks out, and fingers hit', async (t) => {
  for (const width of [320, 390]) {
    const page = await open(t, { viewport: { width, height: 700 }, hasTouch: true, isMobile: true });
    const [wide, low] = [await measure<number>(page, 'width'), await measure<number>(page, 'lowest')];
    assert.ok(wide <= width, `${wide} in ${width}`);
    assert.ok(low >= 44, `${low} pixels high`);
    await stack(page, 'search').tap();
    await page.locator('.detail:visible').waitFor();
  }
});

test('those who want no motion see none', async (t) => {
  const page = await open(t, { reducedMotion: 'reduce' });
  await measuredOnce(page);
  demo.pass(2, { search: 2_000_000 });
  await page.locator('.flow').first().waitFor({ state: 'attached' });
  assert.equal(await measure(page, 'motion'), 'none');
});

test('what a hostile stack says of itself is text and nothing else', async (t) => {
  const bad = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
  demo.add({ stack_id: bad.slice(0, 60), host_ip: '<b>10.0.1.9</b>', status: 'rejected', reason: bad });
  t.after(async () => demo.remove(bad.slice(0, 60)));
  const page = await open(t);
  await page.getByText(bad, { exact: true }).first().waitFor();
  assert.equal(await page.locator('main img, main script, main b').count(), 0);
  assert.equal(await page.title(), 'shop · Docker Router');
});

test('with hundreds of stacks one is found by name', async (t) => {
  for (let i = 0; i < 300; i += 1) demo.add({ stack_id: `many-${i}`, host_ip: `10.9.${i >> 4}.1` }, false);
  demo.write();
  t.after(async () => {
    for (let i = 0; i < 300; i += 1) demo.remove(`many-${i}`, false);
    demo.write();
  });
  const page = await open(t);
  await stack(page, 'many-299').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('many-29');
  await stack(page, 'many-100').waitFor({ state: 'detached' });
  assert.equal(await page.locator('.stack').count(), 11);
});

test('files that are missing or damaged: the page says so, and is back by itself', async (t) => {
  const page = await open(t);
  writeFileSync(join(folder, 'discovery.json'), '{ "version": 1, "self": ');
  await page.getByText('cannot be read: it is damaged').waitFor();
  rmSync(join(folder, 'discovery.json'));
  await page.getByText('There is no discovery.json').waitFor();
  demo.write();
  await stack(page, 'search').waitFor();
  for (const file of ['router.json', 'status.json']) writeFileSync(join(folder, file), '[]');
  await page.getByText('the router has written nothing yet').waitFor();
  assert.match(await stack(page, 'search').innerText(), /10\.88\.41\.0/);
  demo.write();
});

function ask(path: string, method = 'GET', host?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    request(`${origin}${path}`, { method, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on('error', reject)
      .end();
  });
}

test('the server reads and answers, for this host alone', async () => {
  assert.equal(await ask('/view.json'), 200);
  assert.equal(await ask('/view.json', 'GET', 'evil.example:8088'), 421, 'DNS rebinding');
  assert.equal(await ask('/', 'POST'), 405);
  for (const path of ['/../package.json', '/discovery.json', '/etc/passwd', '//'])
    assert.equal(await ask(path), 404, path);
});

test('the picture in docs is below 300 KB (MAP_PICTURE=1 takes it anew)', async (t) => {
  const page = await open(t, { colorScheme: 'light', viewport: { width: 1280, height: 720 } });
  await measuredOnce(page);
  demo.pass(2, { search: 600_000, billing: 8_000_000, metrics: 40_000, warehouse: 9000 });
  await page.locator('.flow').nth(3).waitFor({ state: 'attached' });
  const picture = await page.screenshot(
    process.env.MAP_PICTURE ? { path: fileURLToPath(new URL('../../docs/map.png', import.meta.url)) } : {},
  );
  assert.ok(picture.length > 20_000 && picture.length < 300_000, `${picture.length} bytes`);
});

test('nothing was asked of anybody else, and nothing complained', () => assert.deepEqual(complaints, []));

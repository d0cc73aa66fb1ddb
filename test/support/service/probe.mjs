// probe.mjs get URL [SECONDS]          one request: prints bytes received, or fails
// probe.mjs until DEADLINE_S URL...    repeats until every URL has answered: prints the seconds it took, or who did not
// probe.mjs watch SECONDS URL          a request every 20 ms, each on a connection of its own: prints sent and lost
import { request } from 'node:http';
import { performance } from 'node:perf_hooks';

/** @param {string} url @param {number} timeoutMs @returns {Promise<{ bytes: number, text: string }>} */
function get(url, timeoutMs) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => client.destroy(new Error('timeout')), timeoutMs);
    const client = request(url, { agent: false }, (response) => {
      let bytes = 0;
      let text = '';
      response.on('data', (chunk) => {
        bytes += chunk.length;
        if (text.length < 200) text += chunk.toString('latin1').slice(0, 200);
      });
      response.on('end', () => {
        clearTimeout(timer);
        resolve({ bytes, text });
      });
      response.on('error', reject);
    });
    client.on('error', (cause) => {
      clearTimeout(timer);
      reject(cause);
    });
    client.end();
  });
}

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const [mode, ...rest] = process.argv.slice(2);

if (mode === 'get') {
  const { bytes, text } = await get(rest[0], Number(rest[1] ?? 5) * 1000);
  console.log(bytes < 200 ? text.trim() : bytes);
} else if (mode === 'until') {
  const began = performance.now();
  const deadline = began + Number(rest[0]) * 1000;
  const missing = new Set(rest.slice(1));
  while (missing.size > 0 && performance.now() < deadline) {
    await Promise.all(
      [...missing].map((url) =>
        get(url, 500).then(
          () => missing.delete(url),
          () => undefined,
        ),
      ),
    );
    if (missing.size > 0) await sleep(20);
  }
  if (missing.size > 0) {
    console.error(`no answer from ${[...missing].join(' ')}`);
    process.exit(1);
  }
  console.log(((performance.now() - began) / 1000).toFixed(3));
} else if (mode === 'watch') {
  const end = performance.now() + Number(rest[0]) * 1000;
  let sent = 0;
  let lost = 0;
  const pending = [];
  while (performance.now() < end) {
    sent += 1;
    pending.push(get(rest[1], 900).catch(() => (lost += 1)));
    await sleep(20);
  }
  await Promise.all(pending);
  console.log(`${sent} ${lost}`);
} else {
  console.error('probe.mjs get | until | watch');
  process.exit(64);
}

/** The command of docs/dns.md that makes a key, with BIND's own program; the file is what DNS_TSIG_SECRET_FILE takes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readDns } from '../../src/config/dns-config.ts';
import { Variables } from '../../src/config/variables.ts';
import { runOk } from '../../src/process/run.ts';
import { commands } from '../support/readme.ts';

const folder = mkdtempSync(join(tmpdir(), 'docker-router-keygen-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('docs/dns.md: the key that tsig-keygen makes is taken as it is', async () => {
  const [line] = commands('docs/dns.md', 'keygen');
  await runOk(['sh', '-c', `PATH=$PATH:/usr/sbin:/sbin; ${line!.replace('/etc/bind', folder)}`]);
  const path = join(folder, 'docker-router.key');
  assert.match(readFileSync(path, 'utf8'), /key "docker-router"/);
  const vars = new Variables({
    DNS_DOMAIN: 'example.com',
    DNS_UPDATE_SERVER: '10.0.0.1',
    DNS_TSIG_SECRET_FILE: path,
  });
  const config = readDns(vars);
  vars.finish();
  assert.match(JSON.stringify(config), /docker-router/);
});

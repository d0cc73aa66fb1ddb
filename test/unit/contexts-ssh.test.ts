import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { isHost, parseSshUrl, sshArguments, sshWords } from '../../src/contexts/address.ts';
import { localEngineOf, sshOptions, sshWrapper } from '../../src/contexts/desk.ts';
import { quoteCommand, quoteWord } from '../../src/contexts/quote.ts';
import { engineTrouble, sshTrouble } from '../../src/contexts/trouble.ts';

/** What a real shell makes of a command line. */
function wordsOf(shell: string, line: string): string[] {
  const printed = execFileSync(shell, ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' });
  return printed.split('\0').slice(0, -1);
}

test('a remote shell reads exactly the arguments that were meant', () => {
  const nasty = fc.constantFrom(
    "'",
    '"',
    '\\',
    '$HOME',
    '`id`',
    '!',
    '~',
    '*',
    '#',
    '-n',
    ' ',
    '\n',
    '\t',
    ';',
    '&',
    '|',
    '',
    '%s',
    '\u00e9',
  );
  const word = fc
    .oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(nasty).map((parts) => parts.join('')),
    )
    .filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 20, maxLength: 60 }), (argv) => {
      for (const shell of ['sh', 'bash']) assert.deepEqual(wordsOf(shell, quoteCommand(argv)), argv);
    }),
    { numRuns: 40 },
  );
  assert.throws(() => quoteWord('a\0b'));
});

test('addresses: users, ports, names, IPv4 and IPv6', () => {
  assert.deepEqual(parseSshUrl('ssh://user@192.168.1.100'), { host: '192.168.1.100', user: 'user' });
  assert.deepEqual(parseSshUrl('ssh://alias'), { host: 'alias' });
  assert.deepEqual(parseSshUrl('ssh://user@[fd00::1]:2222'), { host: 'fd00::1', user: 'user', port: 2222 });
  assert.deepEqual(parseSshUrl('ssh://[fe80::1%25eth0]'), { host: 'fe80::1%eth0' });
  assert.deepEqual(sshArguments({ host: 'fd00::1', user: 'u', port: 2222 }), [
    '-l',
    'u',
    '-p',
    '2222',
    '--',
    'fd00::1',
  ]);
  assert.equal(sshWords({ host: 'fd00::1', user: 'u', port: 2222 }), '-p 2222 u@fd00::1');
});

test('what ssh could take for an option, or nobody can reach, is no host', () => {
  const wrong = [
    '',
    'remote',
    'tcp://h',
    'ssh://',
    'ssh://-oProxyCommand=x',
    'ssh://-l@h',
    'ssh://u@-h',
    'ssh://h:0',
    'ssh://h:65536',
    'ssh://h:',
    'ssh://u:pw@h',
    'ssh://h/path',
    'ssh://fd00::1',
    'ssh://[fd00::1',
    'ssh://[10.0.0.1]',
    'ssh://[:::]',
    'ssh://h x',
    'ssh://h\n',
    ' ssh://h',
    'ssh://h;id',
    'ssh://$(id)',
    'SSH://h',
    'Local',
  ];
  for (const text of wrong) assert.ok(!isHost(text), text);
});

test('the ssh that Docker finds runs the real one with our options in front', () => {
  const folder = "/tmp/it's here";
  const script = sshWrapper(sshOptions(folder), '/nowhere');
  const shown = script.replace('exec ssh', "printf '%s\\n'");
  const printed = execFileSync('sh', ['-c', shown, 'ssh', '-o', 'ConnectTimeout=30', '--', 'h'], {
    encoding: 'utf8',
  }).split('\n');
  assert.equal(printed.indexOf('BatchMode=yes') >= 0, true);
  assert.ok(printed.includes(`ControlPath="${folder}/%C"`));
  assert.deepEqual(printed.slice(-5, -1), ['-o', 'ConnectTimeout=30', '--', 'h']);
  // The first value of an option counts: Docker's 30 s must not win.
  assert.ok(printed.indexOf('ConnectTimeout=8') < printed.indexOf('ConnectTimeout=30'));
});

test('what ssh says becomes a sentence and the line that mends it', () => {
  const address = { host: '10.0.0.9', user: 'user', port: 2222 };
  const cases: [string, RegExp, RegExp][] = [
    ['Host key verification failed.', /not known/, /^ssh -p 2222 user@10\.0\.0\.9 once/],
    [
      'user@10.0.0.9: Permission denied (publickey,password).',
      /password/,
      /^ssh-copy-id -p 2222 user@10\.0\.0\.9 .*ssh-add/,
    ],
    ['ssh: connect to host 10.0.0.9 port 2222: Connection refused', /no ssh server/, /2222/],
    ['ssh: connect to host 10.0.0.9 port 2222: Connection timed out', /no answer/, /switched on/],
    ['ssh: Could not resolve hostname 10.0.0.9: Name or service not known', /unknown/, /typing error/],
    [
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.',
      /another one/,
      /ssh-keygen -R '\[10\.0\.0\.9\]:2222'/,
    ],
    ['Timeout, server 10.0.0.9 not responding.', /broke/, /ssh/],
    ['something new', /^something new$/, /-v says more$/],
  ];
  for (const [said, words, remedy] of cases) {
    const trouble = sshTrouble(said, address);
    assert.match(trouble.words, words);
    assert.match(trouble.remedy, remedy);
  }
});

test('what Docker says of an engine becomes a sentence too', () => {
  const address = { host: 'h', user: 'user' };
  const said = 'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock';
  assert.match(engineTrouble(said, address)!.remedy, /usermod -aG docker user on h/);
  assert.match(
    engineTrouble('Cannot connect to the Docker daemon at http://docker.example.com.', address)!.remedy,
    /start docker on h/,
  );
  assert.match(
    engineTrouble('command [ssh ...] has exited: bash: line 1: docker: command not found', address)!.words,
    /not installed/,
  );
  assert.equal(engineTrouble('teapot', 'local'), undefined);
});

test('the engine of this machine is the one that docker uses here', () => {
  const context = (endpoint: string, current: boolean) => ({ name: 'x', description: '', endpoint, current });
  const rootless = 'unix:///run/user/1000/docker.sock';
  assert.equal(localEngineOf([context(rootless, true)], undefined), rootless);
  assert.equal(localEngineOf([context(rootless, false)], undefined), 'unix:///var/run/docker.sock');
  assert.equal(localEngineOf([context('ssh://h', true)], undefined), 'unix:///var/run/docker.sock');
  assert.equal(localEngineOf([context(rootless, true)], 'unix:///mine'), 'unix:///mine');
});

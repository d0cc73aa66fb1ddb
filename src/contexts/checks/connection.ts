/** Checks of the way to a host's engine: ssh, the engine, its version. */
import { LOCAL, sshWords } from '../address.ts';
import { CommandFailed } from '../command.ts';
import type { Desk } from '../desk.ts';
import type { Named } from '../file.ts';
import { connect, type Host, NotReached } from '../host.ts';
import { engineTrouble } from '../trouble.ts';
import { failed, passed, type Verdict } from '../verdict.ts';
import { isAtLeast, OLDEST_ENGINE, OLDEST_KERNEL, versionNumbers } from '../versions.ts';

/** Logged in already; an engine that takes longer than this hangs. */
const ENGINE_MS = 12_000;

/** Logs in. The verdict says why not where there is no host. */
export async function checkSsh(
  desk: Desk,
  context: Named,
  signal: AbortSignal,
): Promise<{ host?: Host; verdict: Verdict | undefined }> {
  const started = performance.now();
  try {
    const host = await connect(desk, context, signal);
    if (host.address === LOCAL) return { host, verdict: undefined };
    const ms = Math.round(performance.now() - started);
    return {
      host,
      verdict: passed(context.name, 'ssh', `${sshWords(host.address)}, ${host.system}, logged in within ${ms} ms`),
    };
  } catch (cause) {
    if (!(cause instanceof NotReached)) throw cause;
    return { verdict: failed(context.name, 'ssh', cause.trouble.words, cause.trouble.remedy) };
  }
}

/** Judges a version string. Pure. */
export function engineVerdict(name: string, version: string): Verdict {
  if (isAtLeast(version, OLDEST_ENGINE)) return passed(name, 'engine', `Docker Engine ${version}`);
  const remedy = `update it, ${OLDEST_ENGINE} is the oldest that works: https://docs.docker.com/engine/install`;
  return failed(name, 'engine', `Docker Engine ${version || 'of unknown version'} is too old`, remedy);
}

/** Judges `uname -sr`; undefined when nothing is known. Pure. */
export function kernelVerdict(name: string, system: string): Verdict | undefined {
  const [kind, release = ''] = system.split(' ');
  if (kind !== 'Linux' || !versionNumbers(release)) return undefined;
  if (isAtLeast(release, OLDEST_KERNEL)) return passed(name, 'kernel', `Linux ${release}`);
  return failed(
    name,
    'kernel',
    `Linux ${release} is too old`,
    `${OLDEST_KERNEL} is the oldest that works: update the host`,
  );
}

/** ssh works, and the engine takes the question and says nothing. */
const hungVerdict = ({ name, address }: Host): Verdict =>
  failed(
    name,
    'engine',
    `it does not answer within ${ENGINE_MS / 1000} s`,
    `sudo systemctl restart docker${address === LOCAL ? '' : ` on ${address.host}`}; journalctl -u docker there says more`,
  );

/** Whether the engine answers and is new enough. */
export async function checkEngine(host: Host): Promise<Verdict> {
  try {
    const version = await host.docker(['version', '--format', '{{.Server.Version}}'], { withinMs: ENGINE_MS });
    return engineVerdict(host.name, version.trim());
  } catch (cause) {
    host.signal.throwIfAborted();
    if (!(cause instanceof CommandFailed)) return hungVerdict(host);
    // The client here only knows that nobody answered; the one there says why.
    const there = await host
      .remote(['docker', 'version', '--format', '{{.Server.Version}}'], ENGINE_MS)
      .catch(() => ({ stderr: '' }));
    const trouble = [there.stderr, cause.stderr].map((text) => engineTrouble(text, host.address)).find(Boolean);
    if (trouble) return failed(host.name, 'engine', trouble.words, trouble.remedy);
    return failed(host.name, 'engine', cause.message, `docker --context ${host.name} version says more`);
  }
}

/** What tells one engine from another, whatever way leads to it. */
export const engineId = async (host: Host): Promise<string> =>
  (await host.docker(['info', '--format', '{{.ID}}'], { withinMs: ENGINE_MS })).trim();

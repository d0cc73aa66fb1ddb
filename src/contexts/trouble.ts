/** What ssh and Docker say when it does not work, as a sentence and the line that mends it. Pure. */
import { LOCAL, type SshAddress, sshWords } from './address.ts';

export interface Trouble {
  readonly words: string;
  readonly remedy: string;
}

interface Pattern {
  readonly says: RegExp;
  readonly words: string;
  readonly remedy: (address: SshAddress) => string;
}

const port = ({ port: number }: SshAddress) => number ?? 22;
const login = (address: SshAddress) => `ssh ${sshWords(address)}`;
const targetOf = ({ user, host }: SshAddress) => `${user ? `${user}@` : ''}${host}`;
const copyId = (address: SshAddress) =>
  `ssh-copy-id ${address.port ? `-p ${address.port} ` : ''}${targetOf(address)} (asks for the password once); a key with a passphrase: ssh-add`;

const SSH_TROUBLES: readonly Pattern[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    words: 'its host key is another one than before',
    remedy: ({ host, port: number }) =>
      `if the machine was set up anew: ssh-keygen -R ${number ? `'[${host}]:${number}'` : host}; if not, somebody may stand in between`,
  },
  {
    says: /Host key verification failed/,
    words: 'its host key is not known here yet',
    remedy: (address) => `${login(address)} once, compare the fingerprint and answer yes`,
  },
  {
    says: /Permission denied|Too many authentication failures/,
    words: 'it would ask for a password: no key of yours is accepted',
    remedy: copyId,
  },
  {
    says: /Could not resolve hostname/,
    words: 'its name is unknown',
    remedy: ({ host }) => `check "${host}" for a typing error, or use the address`,
  },
  {
    says: /Connection refused/,
    words: 'no ssh server there',
    remedy: (address) => `start sshd on it, or correct the port (${port(address)} was tried)`,
  },
  {
    says: /timed out|No route to host|Network is unreachable|no answer within|Host is down/,
    words: 'no answer',
    remedy: (address) =>
      `is it switched on, is the address right, does a firewall let TCP ${port(address)} through? ${login(address)}`,
  },
  {
    says: /Connection closed|Connection reset|kex_exchange_identification|Broken pipe|not responding/,
    words: 'the connection broke',
    remedy: (address) => `${login(address)} says more; MaxStartups and fail2ban on the host are known to do this`,
  },
];

/** What ssh printed -> why there is no connection. */
export function sshTrouble(said: string, address: SshAddress): Trouble {
  const found = SSH_TROUBLES.find(({ says }) => says.test(said));
  if (found) return { words: found.words, remedy: found.remedy(address) };
  const last = said.trim().split('\n').at(-1) ?? '';
  return { words: last || 'ssh ended without a word', remedy: `${login(address)} -v says more` };
}

/** What the Docker client printed -> why the engine cannot be used; undefined when it says something else. */
export function engineTrouble(said: string, where: SshAddress | typeof LOCAL): Trouble | undefined {
  const user = where === LOCAL ? '$USER' : (where.user ?? '$USER');
  const there = where === LOCAL ? '' : ` on ${where.host}`;
  if (/permission denied .*(docker|socket)/is.test(said)) {
    return {
      words: 'the user may not use the engine',
      remedy: `sudo usermod -aG docker ${user}${there}, then log in again (members of that group are as good as root)`,
    };
  }
  if (
    /command not found|docker: not found|No such file or directory.*docker|dial-stdio.*(unknown|not a docker)/is.test(
      said,
    )
  ) {
    return {
      words: 'Docker is not installed',
      remedy: `install Docker Engine${there}: https://docs.docker.com/engine/install`,
    };
  }
  if (/Cannot connect to the Docker daemon|Is the docker daemon running|connection refused/i.test(said)) {
    return { words: 'the engine does not run', remedy: `sudo systemctl start docker${there}` };
  }
  return undefined;
}

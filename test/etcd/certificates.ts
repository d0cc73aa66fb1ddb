/** A private CA and certificates of it, made by openssl for one test run. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeAtExit } from './server.ts';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly #folder = mkdtempSync(join(tmpdir(), 'docker-router-ca-'));
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
    removeAtExit(this.#folder);
    const subject = ['-subj', `/CN=${name}`, '-days', '2'];
    this.#openssl('req', '-x509', ...this.#newKey('ca'), '-out', this.ca, ...subject);
  }

  get ca(): string {
    return join(this.#folder, 'ca.crt');
  }

  /** Valid for the names and addresses in `alternatives` (`DNS:x,IP:y`), as a server and as a client unless told otherwise. */
  issue(name: string, alternatives: string, usage = 'serverAuth,clientAuth'): Certificate {
    const [request, extensions] = [join(this.#folder, `${name}.csr`), join(this.#folder, `${name}.ext`)];
    const files = { cert: join(this.#folder, `${name}.crt`), key: join(this.#folder, `${name}.key`) };
    writeFileSync(extensions, `subjectAltName=${alternatives}\nextendedKeyUsage=${usage}\n`);
    this.#openssl('req', ...this.#newKey(name), '-out', request, '-subj', `/CN=${name}`);
    const signer = ['-CA', this.ca, '-CAkey', join(this.#folder, 'ca.key'), '-CAcreateserial'];
    this.#openssl('x509', '-req', '-in', request, ...signer, '-days', '2', '-extfile', extensions, '-out', files.cert);
    return files;
  }

  /** A file with any content beside the certificates. */
  file(name: string, content: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, content);
    return path;
  }

  #newKey(name: string): string[] {
    return [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      join(this.#folder, `${name}.key`),
    ];
  }

  #openssl(...args: string[]): void {
    try {
      execFileSync('openssl', args, { stdio: 'pipe' });
    } catch (cause) {
      throw new Error(`${this.#name}: ${(cause as { stderr?: Buffer }).stderr ?? cause}`);
    }
  }
}

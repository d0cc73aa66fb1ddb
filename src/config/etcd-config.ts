/** Variables of DISCOVERY_MODE=etcd. */
import { duration, list, type Parse, type Variables } from './variables.ts';

export interface EtcdConfig {
  /** URLs without a path: `https://etcd-1:2379`. */
  readonly endpoints: readonly string[];
  /** Without a slash at the end; the stacks' keys are `PREFIX/{stack-id}/record`. */
  readonly prefix: string;
  readonly leaseTtlMs: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: EtcdTlsFiles;
}

/** Paths: the files are read anew for every connection, so that a renewed certificate needs no restart. */
export interface EtcdTlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** `host:port` or a URL; without a scheme it is https when TLS files are given, without a port it is etcd's own. */
function endpoint(scheme: 'http' | 'https'): Parse<string> {
  return (text) => {
    const url = urlOf(/^[a-z]+:\/\//i.test(text) ? text : `${scheme}://${text}`);
    const bare = url?.pathname === '/' && url.search === '' && url.hash === '';
    if (!url || !bare || !/^https?:$/.test(url.protocol) || url.hostname === '') {
      throw new Error('must hold addresses such as http://10.0.1.5:2379, separated by commas');
    }
    const usual = url.protocol === 'https:' ? '443' : '80';
    return `${url.protocol}//${url.hostname}:${url.port || (/:\d+\/?$/.test(text) ? usual : '2379')}`;
  };
}

function readEndpoints(vars: Variables, withTls: boolean): string[] {
  // Not left to the parser, whose message would show the password.
  if (vars.text('ETCD_ENDPOINTS')?.includes('@')) {
    vars.problem('ETCD_ENDPOINTS must hold no user and password; set ETCD_USERNAME and ETCD_PASSWORD_FILE');
    return [];
  }
  const parse = list(endpoint(withTls ? 'https' : 'http'));
  const endpoints = vars.required('ETCD_ENDPOINTS', parse, 'http://10.0.1.5:2379') ?? [];
  if (/^[\s,]+$/.test(vars.text('ETCD_ENDPOINTS') ?? '')) vars.problem('ETCD_ENDPOINTS holds no address');
  if (withTls && endpoints.some((url) => url.startsWith('http:'))) {
    vars.problem('ETCD_ENDPOINTS has http:// addresses although TLS files are set; write https://');
  }
  return [...new Set(endpoints)];
}

const prefix: Parse<string> = (text) => {
  const trimmed = text.replace(/\/+$/, '');
  if (!/^[\x21-\x7e]{1,200}$/.test(trimmed)) {
    throw new Error('must be 1-200 printable characters without spaces, such as /docker-router/discovery');
  }
  return trimmed;
};

function readTls(vars: Variables): EtcdTlsFiles {
  const files = { ca: vars.text('ETCD_CA_FILE'), cert: vars.text('ETCD_CERT_FILE'), key: vars.text('ETCD_KEY_FILE') };
  for (const [name, path] of Object.entries(files)) {
    // Read once now, so that a wrong path is reported with everything else.
    if (path !== undefined) vars.fileText(`ETCD_${name.toUpperCase()}_FILE`, path);
  }
  if ((files.cert === undefined) !== (files.key === undefined)) {
    vars.problem('ETCD_CERT_FILE and ETCD_KEY_FILE belong together; set both or none');
  }
  return files;
}

export function readEtcd(vars: Variables): EtcdConfig {
  const tls = readTls(vars);
  const withTls = Object.values(tls).some((path) => path !== undefined);
  const username = vars.text('ETCD_USERNAME');
  const password = vars.secret('ETCD_PASSWORD');
  if ((username === undefined) !== (password === undefined)) {
    vars.problem('ETCD_USERNAME and ETCD_PASSWORD (or ETCD_PASSWORD_FILE) belong together; set both or none');
  }
  return {
    endpoints: readEndpoints(vars, withTls),
    prefix: vars.optional('ETCD_PREFIX', prefix, '/docker-router/discovery'),
    // etcd itself refuses less than one and a half election timeouts; below 5 s a failover could outlast the lease.
    leaseTtlMs: vars.optional('ETCD_LEASE_TTL', duration(5000, 3_600_000), 30_000),
    username,
    password,
    tls,
  };
}

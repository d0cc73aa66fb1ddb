/** What a server's refusal means and what mends it, in words. Pure. */
import type { DnsServer, TsigKey } from '../../config/dns-config.ts';
import { label } from './transport.ts';
import { FUDGE_SECONDS } from './tsig.ts';

/** About how long, for people. */
export function about(seconds: number): string {
  const [n, unit] = seconds < 120 ? [seconds, 's'] : seconds < 7200 ? [seconds / 60, 'min'] : [seconds / 3600, 'h'];
  return `${Math.round(n)} ${unit}`;
}

export function queryRefused(rcode: string, server: DnsServer, name: string): string {
  const who = `DNS server ${label(server)}`;
  if (rcode === 'SERVFAIL')
    return `${who} cannot answer for ${name} (SERVFAIL): the zone may not be loaded, or the server it asks is away; its log says which`;
  if (rcode === 'REFUSED')
    return `${who} refuses to answer for ${name} (REFUSED): it does not serve this zone to this host; check DNS_SERVERS and the server's allow-query`;
  return `${who} answers ${rcode} for ${name}`;
}

export function referral(server: DnsServer, name: string): string {
  return `DNS server ${label(server)} knows nothing of ${name} and only points to other servers; name one that serves the zone, or a resolver, in DNS_SERVERS`;
}

export interface RefusedUpdate {
  readonly rcode: string;
  readonly tsigError: string | undefined;
  /** Server's clock less this host's, where the server told it. */
  readonly aheadSeconds: number | undefined;
}

function tsigRefused(error: string, key: TsigKey, aheadSeconds: number | undefined): string {
  const named = `key ${key.name} (${key.algorithm})`;
  switch (error) {
    case 'BADKEY':
      return `does not know the ${named} (BADKEY): DNS_TSIG_NAME and DNS_TSIG_ALGORITHM must be those of a key in its configuration`;
    case 'BADSIG':
      return `has another secret for the ${named} (BADSIG): DNS_TSIG_SECRET must be the very secret in its configuration`;
    case 'BADTIME': {
      const ahead = aheadSeconds ?? 0;
      const off = `${about(Math.abs(ahead))} ${ahead < 0 ? 'ahead of' : 'behind'} its own`;
      return `finds this host's clock ${off} (BADTIME; ${FUDGE_SECONDS / 60} min are allowed): set the clock of both by NTP`;
    }
    default:
      return `refuses the ${named} (${error})`;
  }
}

const UPDATE_CODES: Readonly<Record<string, string>> = {
  REFUSED:
    'its update-policy or allow-update must permit the key to change the names of this stack, and the zone must be a primary one',
  NOTAUTH: 'DNS_UPDATE_SERVER must be the primary server of the zone',
  NOTZONE: 'DNS_DOMAIN must lie inside the zone that it serves',
  NOTIMP: 'it takes no dynamic updates; use another server, or have an operator list this stack',
  SERVFAIL:
    'its log says why; it cannot write the zone or its journal, or the list is full (BIND takes 100 stacks until the zone has a larger max-records-per-type)',
};

/** `zone` as it was given in the update. */
export function updateRefused(refused: RefusedUpdate, server: DnsServer, key: TsigKey, zone: string): string {
  const who = `cannot list this stack: DNS server ${label(server)}`;
  if (refused.tsigError) return `${who} ${tsigRefused(refused.tsigError, key, refused.aheadSeconds)}`;
  const mends = UPDATE_CODES[refused.rcode] ?? 'its log may say why';
  return `${who} refuses the update of zone ${zone} (${refused.rcode}): ${mends}`;
}

/** What a DNS name asks for: `SERVICE.STACK.DOMAIN`, an address in reverse, or something that is not ours. Pure. */
import { parseIpv4 } from '../net/ipv4.ts';

export type Target =
  | { readonly kind: 'service'; readonly service: string; readonly stack: string }
  | { readonly kind: 'stack'; readonly stack: string }
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'other' };

const OTHER: Target = { kind: 'other' };
/** A Compose service, a container or an alias without dots: DNS labels, and the underscore that Compose allows. */
const SERVICE = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const STACK = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 1035 section 3.5. */
const REVERSE = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;

export const isServiceLabel = (text: string): boolean => SERVICE.test(text);

/**
 * `name` in lower case without the dot at the end. Between routers the domain is empty, so that stacks with different ones understand each
 * other. Whether there is such a stack is not decided here.
 */
export function targetOf(name: string, domain: string): Target {
  const reverse = REVERSE.exec(name);
  if (reverse) {
    const address = reverse.slice(1).reverse().join('.');
    return parseIpv4(address) === undefined ? OTHER : { kind: 'address', address };
  }
  const suffix = domain === '' ? '' : `.${domain}`;
  if (!name.endsWith(suffix)) return OTHER;
  const labels = name.slice(0, name.length - suffix.length).split('.');
  const [first = '', stack = ''] = labels;
  if (labels.length === 1 && STACK.test(first)) return { kind: 'stack', stack: first };
  if (labels.length === 2 && SERVICE.test(first) && STACK.test(stack))
    return { kind: 'service', service: first, stack };
  return OTHER;
}

/** The name in `in-addr.arpa` of a dotted address. */
export function reverseName(address: string): string {
  return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
}

/**
 * Docker's answer to a reverse query is `CONTAINER.NETWORK`; Compose calls these `PROJECT-SERVICE-NUMBER` and `PROJECT_NETWORK`. The service's
 * name first, the container's as well, since it is what there is outside Compose.
 */
export function serviceCandidates(dockerName: string): string[] {
  const [container = '', network = ''] = dockerName.toLowerCase().split('.');
  const project = network.slice(0, network.indexOf('_'));
  const numbered = /^(.+)-\d{1,5}$/.exec(container)?.[1] ?? '';
  const service = project !== '' && numbered.startsWith(`${project}-`) ? numbered.slice(project.length + 1) : '';
  return [service, container].filter(isServiceLabel);
}

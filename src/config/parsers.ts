/** Parsers for the kinds of value that both daemons' variables hold. Each throws an Error that completes "NAME ...". */

import * as v from 'valibot';
import { isHostAddress, isMulticast, parseIpv4, parsePrefix } from '../net/ipv4.ts';
import { MAX_VNI, StackIdSchema } from '../record/record.ts';
import { integer, oneOf, type Parse } from './variables.ts';

export const stackId: Parse<string> = (text) => {
  if (!v.is(StackIdSchema, text))
    throw new Error('must be 1-63 lower-case letters, digits or hyphens, since it is part of DNS names');
  return text;
};

export const vni: Parse<number> = integer(1, MAX_VNI);

export const port: Parse<number> = integer(1, 65535);

export const hostAddress: Parse<string> = (text) => {
  const address = parseIpv4(text);
  if (address === undefined || !isHostAddress(address))
    throw new Error('must be an IPv4 address that other hosts can reach');
  return text;
};

export const multicastGroup: Parse<string> = (text) => {
  const address = parseIpv4(text);
  if (address === undefined || !isMulticast(address))
    throw new Error('must be an IPv4 multicast address, such as 239.1.1.1');
  return text;
};

export const subnet: Parse<string> = (text) => {
  if (!parsePrefix(text)) throw new Error('must be an IPv4 subnet, such as 10.0.0.0/8');
  return text;
};

/** A stack id in which `*` stands for any characters and `?` for one. */
export const stackPattern: Parse<string> = (text) => {
  if (!/^[a-z0-9*?-]{1,63}$/.test(text))
    throw new Error('must be a list of stack ids, in which * and ? may stand for any');
  return text;
};

export const domain: Parse<string> = (text) => {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (
    name.length > 100 ||
    !/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.|$))+$/.test(name) ||
    name.endsWith('.') ||
    name.endsWith('arpa')
  )
    throw new Error('must be a domain, such as internal');
  return name;
};

/** `auto`, or a value. */
export function auto<T>(parse: Parse<T>): Parse<T | 'auto'> {
  return (text) => (text.toLowerCase() === 'auto' ? 'auto' : parse(text));
}

export const logLevel = oneOf('debug', 'info', 'warning', 'error');
export const logFormat = oneOf('text', 'json');

// lookup.mjs NAME [A | AAAA | PTR]: asks as the service's own resolv.conf says, once, and prints { code, data, ms }.
import { Resolver } from 'node:dns/promises';
import { performance } from 'node:perf_hooks';

const [name = '', type = 'A'] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 15_000, tries: 1 });
const began = performance.now();
const result = await (type === 'PTR' ? resolver.reverse(name) : resolver.resolve(name, type)).then(
  (data) => ({ code: 'OK', data }),
  (cause) => ({ code: cause.code, data: [] }),
);
console.log(JSON.stringify({ ...result, ms: Math.round(performance.now() - began) }));

/** Against bytes of BIND 9.18 and its nsupdate, captured with the key `docker-router` of 32 bytes 0x07. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TsigKey } from '../../src/config/dns-config.ts';
import { encodeUpdate } from '../../src/sources/dns/message.ts';
import { sign, verify } from '../../src/sources/dns/tsig.ts';

const KEY: TsigKey = { name: 'docker-router', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 7) };
const hex = (text: string) => Buffer.from(text, 'hex');

/** Signed at 0x6b04aeb9 (its TSIG record takes 86 bytes), and the answer to it. */
const NSUPDATE = hex(
  '49022800000100010003000106646f636b6572076578616d706c6500000600010161c00c00ff00fe000000000000c02000ff00ff000000000000c0200010000100000005000a05766e693d3103783d79c00c000c00fe000000000002c0200d646f636b65722d726f757465720000fa00ff00000000003d0b686d61632d7368613235360000006b04aeb9012c00204bbdb3d6c8e63df27e8a622fc0ae9fdcee70ed8df5cf22d8996f9dbc1fed43ce490200000000',
);
const ANSWER = hex(
  '4902a800000100000000000106646f636b6572076578616d706c6500000600010d646f636b65722d726f757465720000fa00ff00000000003d0b686d61632d7368613235360000006b04aeb9012c00201bdbc978ae3f1e158187b66777424505a8f311ee675214c574ac061721602c56490200000000',
);
const TSIG_BYTES = 86;
const MAC = NSUPDATE.subarray(-32 - 6, -6);
const SIGNED_AT = 0x6b04aeb9;

/** The answers to a request with another secret, with an unknown algorithm, and ten minutes ahead. */
const BADSIG = hex(
  '503ea809000100000000000106646f636b6572076578616d706c6500000600010d646f636b65722d726f757465720000fa00ff00000000001d0b686d61632d7368613235360000006b04aeb9012c0000503e00100000',
);
const BADKEY = hex(
  'a882a809000100000000000106646f636b6572076578616d706c6500000600010d646f636b65722d726f757465720000fa00ff00000000001d0b686d61632d7368613531320000006b04aeb9012c0000a88200110000',
);
const BADTIME = hex(
  '1234a809000100000000000106646f636b6572076578616d706c6500000600010d646f636b65722d726f757465720000fa00ff0000000000430b686d61632d7368613235360000006b04b16f012c00205ef472daf261d213e024fd6158cf6dba5ef67c6cb4183ddb075465a126c7e93b12340012000600006b04af17',
);
const BADTIME_MAC = hex('f1a98c82161bb7c0b4e4a72ea57130e5487df5547ff750307b0b90351fba825e');

/** nsupdate's message before it was signed. */
function unsigned(): Buffer {
  const bytes = Buffer.from(NSUPDATE.subarray(0, -TSIG_BYTES));
  bytes.writeUInt16BE(0, 10);
  return bytes;
}

test('a message is signed to the very bytes of nsupdate', () => {
  const signed = sign(unsigned(), KEY, SIGNED_AT);
  assert.equal(signed.bytes.toString('hex'), NSUPDATE.toString('hex'));
  assert.deepEqual(signed.mac, Buffer.from(MAC));
});

test("the server's answer is verified and tells its clock", () => {
  assert.deepEqual(verify(ANSWER, KEY, MAC), { ok: true, value: { error: undefined, serverSeconds: SIGNED_AT } });
});

test('refusals are told apart; a wrong clock with the time it should show', () => {
  assert.deepEqual(verify(BADSIG, KEY, MAC), { ok: true, value: { error: 'BADSIG', serverSeconds: undefined } });
  const sha512: TsigKey = { ...KEY, algorithm: 'hmac-sha512' };
  assert.deepEqual(verify(BADKEY, sha512, MAC), { ok: true, value: { error: 'BADKEY', serverSeconds: undefined } });
  assert.deepEqual(verify(BADTIME, KEY, BADTIME_MAC), {
    ok: true,
    value: { error: 'BADTIME', serverSeconds: 0x6b04af17 },
  });
});

test('an answer to another request, with another key, changed or unsigned is refused', () => {
  assert.equal(verify(ANSWER, KEY, Buffer.alloc(32)).ok, false);
  assert.equal(verify(ANSWER, { ...KEY, secret: Buffer.alloc(32, 8) }, MAC).ok, false);
  assert.equal(verify(ANSWER, { ...KEY, name: 'other' }, MAC).ok, false);
  assert.equal(verify(BADTIME, KEY, MAC).ok, false);
  assert.equal(verify(unsigned(), KEY, MAC).ok, false);
  for (let bit = 0; bit < ANSWER.length * 8; bit++) {
    const flipped = Buffer.from(ANSWER);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    // Names ignore case: bit 5 of a letter changes nothing that counts, in the key's and the algorithm's name.
    if (flipped.toString('latin1').toLowerCase() === ANSWER.toString('latin1').toLowerCase()) continue;
    // The id on the wire may be another one (a forwarder's): the original stands in the record (RFC 8945 section 5.3.2).
    if (bit >= 16) assert.equal(verify(flipped, KEY, MAC).ok, false, `bit ${bit}`);
  }
});

test('no error without a signature is believed but those for which the RFC has none', () => {
  const noMac = Buffer.from(BADSIG);
  noMac.writeUInt16BE(18, noMac.length - 4);
  assert.equal(verify(noMac, KEY, MAC).ok, false);
  noMac.writeUInt16BE(0, noMac.length - 4);
  assert.equal(verify(noMac, KEY, MAC).ok, false);
});

test('no bytes whatever make it throw', () => {
  const request = encodeUpdate({ id: 1, zone: 'docker.example', prerequisites: [], changes: [] });
  const signed = sign(request, KEY, 1).bytes;
  const flips = fc.array(fc.tuple(fc.nat(signed.length - 1), fc.nat(255)), { maxLength: 6 });
  fc.assert(
    fc.property(flips, fc.nat(signed.length), fc.uint8Array({ maxLength: 100 }), (changes, cut, tail) => {
      const bytes = Buffer.concat([signed.subarray(0, cut), tail]);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      assert.equal(verify(bytes, KEY, MAC).ok, false);
    }),
    { numRuns: 2000 },
  );
});

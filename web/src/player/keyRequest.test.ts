import { expect, it } from 'vitest';
import { isKeyRequest, refusalIn } from './keyRequest';

const origin = 'https://lectern.example';

it.each([
  ['/keys/kid_1', true],
  ['https://lectern.example/keys/kid_1?x=1', true],
  ['https://evil.example/keys/kid_1', false],
  ['http://lectern.example/keys/kid_1', false],
  ['/media/ast_1/keys/1.m4s', false],
  ['/media/../keys/kid_1', true],
  ['/keyserver', false],
  ['https://[', false],
])('%s: %s', (url, expected) => expect(isKeyRequest(url, origin)).toBe(expected));

it('reads a refusal from bytes, as the key loader gets it', () => {
  const bytes = new TextEncoder().encode('{"code":"entitlement_ended","detail":"left"}').buffer;
  expect(refusalIn(403, bytes)?.code).toBe('entitlement_ended');
  expect(refusalIn(401, 'nonsense')?.code).toBe('http_401');
  expect(refusalIn(403, null)?.status).toBe(403);
});

it('is no refusal when the server or the network failed', () => {
  for (const status of [undefined, 0, 200, 404, 500, 503]) expect(refusalIn(status, '{}')).toBeNull();
});

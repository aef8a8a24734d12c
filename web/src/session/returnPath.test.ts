import { expect, it } from 'vitest';
import { returnPath, returnSearch, signInPath } from './returnPath';

it.each([
  [null, '/'],
  ['', '/'],
  ['/courses/crs_1?x=1#y', '/courses/crs_1?x=1#y'],
  ['https://evil.example/', '/'],
  ['//evil.example/', '/'],
  ['/\\evil.example', '/'],
  ['/..//evil.example', '/'],
  ['javascript:alert(1)', '/'],
  ['/sign-in?next=/x', '/'],
  ['/register', '/'],
])('%s leads to %s', (next, expected) => {
  expect(returnPath(next)).toBe(expected);
});

it('survives the way through the sign-in page', () => {
  const query = new URL(signInPath('/courses/a', '?b=c&d=e'), 'http://x').searchParams;
  expect(returnPath(query.get('next'))).toBe('/courses/a?b=c&d=e');
  expect(returnSearch('/register', `?${query}`)).toBe(`?${query}`);
  expect(signInPath('/')).toBe('/sign-in');
});

import { describe, expect, it } from 'vitest';
import { ApiError, asSentence, messageFor, networkError, problemFrom } from './problem';

describe('problemFrom', () => {
  it.each([
    ['{"code":"not_owner","detail":"only the owner"}', 'not_owner', 'only the owner'],
    ['{"title":"Forbidden"}', 'http_403', 'Forbidden'],
    ['{"code":7,"detail":null}', 'http_403', ''],
    ['<html>nginx</html>', 'http_403', ''],
    ['', 'http_403', ''],
    ['null', 'http_403', ''],
    ['[1]', 'http_403', ''],
  ])('%s', (text, code, message) => {
    const error = problemFrom(403, text);
    expect([error.status, error.code, error.message]).toEqual([403, code, message]);
  });

  it('reads Retry-After in seconds and ignores anything else', () => {
    expect(problemFrom(429, '', '12').retryAfter).toBe(12);
    expect(problemFrom(429, '', 'soon').retryAfter).toBeUndefined();
    expect(problemFrom(429, '', null).retryAfter).toBeUndefined();
  });
});

describe('messages', () => {
  it('are sentences', () => {
    expect(asSentence('title expects 1 to 200 characters, 0 came')).toBe('Title expects 1 to 200 characters, 0 came.');
    expect(asSentence('Really?')).toBe('Really?');
    expect(asSentence('  ')).toBe('');
  });

  it('never show a server fault in detail', () => {
    expect(messageFor(new ApiError(500, 'internal', 'sqlite: disk image is malformed'))).not.toContain('sqlite');
  });

  it('tell a lost connection from a refusal', () => {
    expect(messageFor(networkError())).toContain('connection');
    expect(messageFor(new ApiError(401, 'invalid_credentials', 'x'))).toContain('password');
    expect(messageFor(new ApiError(429, 'too_many_requests', 'x', 30))).toContain('30 seconds');
    expect(messageFor(new TypeError('x'))).toBe('Something went wrong. Please try again.');
  });
});

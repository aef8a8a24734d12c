import { expect, it } from 'vitest';
import { ApiError, networkError } from '../api/problem';
import { heals, noticeFor } from './refusal';

// The closed list of docs/api.md: every code has its own words and a next step.
const codes: [string, number, string][] = [
  ['token_missing', 401, 'play_again'],
  ['token_invalid', 401, 'play_again'],
  ['token_expired', 401, 'play_again'],
  ['wrong_key', 403, 'play_again'],
  ['session_ended', 403, 'play_again'],
  ['user_disabled', 403, 'nothing'],
  ['not_enrolled', 403, 'open_course'],
  ['entitlement_ended', 403, 'open_course'],
  ['entitlement_not_started', 403, 'open_course'],
  ['not_published', 403, 'open_course'],
  ['asset_not_playable', 403, 'play_again'],
];

it.each(codes)('%s', (code, status, next) => {
  const notice = noticeFor(new ApiError(status, code, 'internal words'));
  expect(notice.next).toBe(next);
  expect(notice.code).toBe(code);
  expect(notice.title).not.toBe('This lecture could not be played');
  expect(notice.message).not.toContain('internal words');
});

it('words what it does not know', () => {
  expect(noticeFor(new ApiError(403, 'new_rule', 'two devices are playing already')).message).toBe('Two devices are playing already.');
  expect(noticeFor(new ApiError(500, 'internal', 'panic')).message).not.toContain('panic');
  expect(noticeFor(networkError()).next).toBe('play_again');
  expect(noticeFor(new Error('x')).next).toBe('play_again');
});

it('heals only what time broke', () => {
  expect(codes.filter(([code, status]) => heals(new ApiError(status, code, ''))).map(([code]) => code)).toEqual(['token_expired']);
});

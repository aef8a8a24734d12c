// From a refused or failed playback to what the learner reads and can do about it.

import { ApiError, asSentence } from '../api/problem';

export type NextStep = 'play_again' | 'open_course' | 'sign_in' | 'nothing';

export interface Notice {
  /** The refusal's code, for tests and support. */
  code: string;
  title: string;
  message: string;
  next: NextStep;
}

const PLAY_AGAIN = 'Press play again to go on where you stopped.';

const notices: Record<string, Omit<Notice, 'code'>> = {
  not_enrolled: {
    title: 'You are not enrolled in this course',
    message: 'Enroll on the course page, then come back: the lesson starts where you stopped.',
    next: 'open_course',
  },
  entitlement_ended: {
    title: 'Your access to this course has ended',
    message: 'You left the course, or your time in it ran out. Enroll again on the course page to go on; your progress is kept.',
    next: 'open_course',
  },
  entitlement_not_started: {
    title: 'This course has not started for you yet',
    message: 'You are enrolled, but your access begins later. The course page says more.',
    next: 'open_course',
  },
  not_published: {
    title: 'This lesson is not published',
    message: 'The instructor has taken it back or not released it yet. Other lessons of the course may be open.',
    next: 'open_course',
  },
  asset_not_playable: {
    title: 'This lecture is not ready to play',
    message: 'It is still being prepared, or was removed. Try again in a little while.',
    next: 'play_again',
  },
  session_ended: { title: 'Playback was stopped', message: `It may have been started on another device. ${PLAY_AGAIN}`, next: 'play_again' },
  token_expired: { title: 'Playback was paused for too long', message: PLAY_AGAIN, next: 'play_again' },
  token_invalid: { title: 'Playback has to start afresh', message: PLAY_AGAIN, next: 'play_again' },
  token_missing: { title: 'Playback has to start afresh', message: PLAY_AGAIN, next: 'play_again' },
  wrong_key: { title: 'This lecture was replaced while you watched', message: PLAY_AGAIN, next: 'play_again' },
  user_disabled: {
    title: 'Your account is disabled',
    message: 'Lessons do not play with it any more. Ask the people who run this site.',
    next: 'nothing',
  },
  unauthenticated: { title: 'Please sign in', message: 'Sign in to play this lesson.', next: 'sign_in' },
  refresh_reused: { title: 'Please sign in', message: 'You were signed out. Sign in again to play this lesson.', next: 'sign_in' },
  network: {
    title: 'The server cannot be reached',
    message: 'Check your connection, then try again.',
    next: 'play_again',
  },
};

export function noticeFor(error: unknown): Notice {
  if (!(error instanceof ApiError)) {
    return { code: 'unknown', title: 'This lecture could not be played', message: 'Something went wrong in the player. Try again.', next: 'play_again' };
  }
  const known = notices[error.code];
  if (known) return { code: error.code, ...known };
  return {
    code: error.code,
    title: 'This lecture could not be played',
    message: error.status < 500 && asSentence(error.message) ? asSentence(error.message) : 'Something went wrong on our side. Try again in a moment.',
    next: 'play_again',
  };
}

/** Whether a new playback session, begun without asking, may heal it. */
export const heals = (error: ApiError): boolean => error.code === 'token_expired';

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiError, networkError } from '../api/problem';
import type { HeartbeatAnswer, PlaybackAnswer } from '../api/types';
import { nextBeatMs, PlaybackSession } from './playbackSession';

const at = (ms: number) => new Date(ms).toISOString();
const answer: PlaybackAnswer = {
  session_id: 'ses_1',
  token: 't0',
  expires_at: at(120_000),
  hls_url: '/media/a/b/main.m3u8',
  hls_native_url: '/playback/t0/main.m3u8',
  storyboard_url: null,
  chapters_url: null,
  waveform_url: null,
  heartbeat_url: '/api/v1/playback/ses_1/heartbeat',
  duration_ms: null,
  growing: false,
  position_ms: 0,
};

beforeEach(() => vi.useFakeTimers({ now: 0 }));
afterEach(() => vi.useRealTimers());

function begin(outcomes: (HeartbeatAnswer | ApiError)[]) {
  const sent: string[] = [];
  const onRefused = vi.fn();
  const session = new PlaybackSession(answer, {
    beat: async (_url, token, position) => {
      sent.push(`${token}@${position}`);
      const outcome = outcomes.shift() ?? new ApiError(500, 'internal', '');
      if (outcome instanceof ApiError) throw outcome;
      return outcome;
    },
    positionMs: () => Date.now(),
    onRefused,
  });
  session.start();
  return { session, sent, onRefused };
}

it.each([
  [120_000, 30_000],
  [40_000, 20_000],
  [4_000, 5_000],
  [-60_000, 5_000],
])('token ends in %d ms: next beat in %d ms', (left, expected) => expect(nextBeatMs(at(1_000_000 + left), 1_000_000)).toBe(expected));

it('beats every 30 s with the newest token', async () => {
  const { session, sent } = begin([
    { token: 't1', expires_at: at(150_000) },
    { token: 't2', expires_at: at(180_000) },
  ]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toEqual(['t0@30000', 't1@60000']);
  expect(session.token).toBe('t2');
});

it('outlives a lost connection', async () => {
  const { session, sent, onRefused } = begin([networkError(), { token: 't1', expires_at: at(200_000) }]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toHaveLength(2);
  expect(session.token).toBe('t1');
  expect(onRefused).not.toHaveBeenCalled();
});

it('ends with the first refusal and says it once', async () => {
  const { sent, onRefused } = begin([new ApiError(403, 'entitlement_ended', '')]);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(sent).toHaveLength(1);
  expect(onRefused).toHaveBeenCalledOnce();
});

it('is silent after it was stopped', async () => {
  const { session, sent } = begin([]);
  session.stop();
  await vi.advanceTimersByTimeAsync(300_000);
  expect(sent).toEqual([]);
});

it('beats at once when nudged, unless a beat is fresh, and every 30 s from there', async () => {
  const fresh = (ms: number) => ({ token: 't1', expires_at: at(ms + 120_000) });
  const { session, sent } = begin([fresh(10_000), fresh(40_000)]);
  await vi.advanceTimersByTimeAsync(500);
  session.nudge();
  await vi.advanceTimersByTimeAsync(9_500);
  session.nudge();
  session.nudge();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(sent).toEqual(['t0@10000', 't1@40000']);
});

import { expect, it } from 'vitest';
import type { Lesson, Progress } from '../api/types';
import { lessonToContinue, shareOf } from './lessonProgress';

const lesson = (id: string, duration_ms: number | null = 100_000): Lesson => ({
  id,
  course_id: 'crs_1',
  title: id,
  type: 'video',
  order_index: 0,
  published_status: 'published',
  body: null,
  asset_id: null,
  asset: { id: 'ast_1', state: 'ready', progress: 1, duration_ms },
  created_at: '',
  updated_at: '',
});
const at = (position_ms: number, completed = false): Progress => ({
  lesson_id: '',
  course_id: '',
  position_ms,
  completed,
  updated_at: '',
});

it.each([
  [lesson('a'), undefined, 0],
  [lesson('a'), at(25_000), 0.25],
  [lesson('a'), at(900_000), 1],
  [lesson('a', null), at(25_000), 0],
  [lesson('a', null), at(0, true), 1],
])('share %#', (one, progress, share) => expect(shareOf(one, progress)).toBe(share));

it('carries on with the first lesson not completed', () => {
  const lessons = [lesson('a'), lesson('b'), lesson('c')];
  expect(lessonToContinue(lessons, undefined)?.id).toBe('a');
  expect(lessonToContinue(lessons, new Map([['a', at(0, true)], ['b', at(5)]]))?.id).toBe('b');
  expect(lessonToContinue(lessons, new Map(lessons.map((one) => [one.id, at(0, true)])))?.id).toBe('a');
  expect(lessonToContinue([], undefined)).toBeNull();
});

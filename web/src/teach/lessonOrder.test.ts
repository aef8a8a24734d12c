import { expect, it } from 'vitest';
import { swapped } from './lessonOrder';

const lessons = ['a', 'b', 'c'].map((id, order_index) => ({ id, order_index }));

it.each([
  [0, 1, ['b0', 'a1']],
  [2, 1, ['c1', 'b2']],
  [0, 2, ['b0', 'c1', 'a2']],
  [1, 1, []],
  [0, -1, []],
  [2, 3, []],
  [7, 0, []],
])('from %d to %d', (from, to, expected) => {
  expect(swapped(lessons, from, to).map(({ id, order_index }) => `${id}${order_index}`)).toEqual(expected);
});

it('mends gaps and equal numbers on the way', () => {
  const messy = [
    { id: 'a', order_index: 0 },
    { id: 'b', order_index: 0 },
    { id: 'c', order_index: 9 },
  ];
  expect(swapped(messy, 2, 1)).toEqual([
    { id: 'c', order_index: 1 },
    { id: 'b', order_index: 2 },
  ]);
});

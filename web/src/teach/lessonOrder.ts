// Moving a lesson among its neighbours.

interface Ordered {
  id: string;
  order_index: number;
}

/** The changes that put the lesson at `from` to `to`: only those whose number changes, numbered by position. */
export function swapped(lessons: readonly Ordered[], from: number, to: number): Ordered[] {
  const moved = lessons[from];
  if (!moved || to < 0 || to >= lessons.length) return [];
  const order = lessons.toSpliced(from, 1).toSpliced(to, 0, moved);
  return order.map(({ id }, order_index) => ({ id, order_index })).filter(({ id, order_index }) => {
    return lessons.find((lesson) => lesson.id === id)?.order_index !== order_index;
  });
}

// What a chapter is called, and which one a time belongs to.

import type { Chapter } from '../api/types';

export const chapterTitle = (chapter: Pick<Chapter, 'title'>, index: number): string => chapter.title || `Chapter ${index + 1}`;

/** The last chapter that begins at or before a time; -1 before the first. Chapters ascend. */
export function chapterAt(chapters: readonly Pick<Chapter, 'start_ms'>[], ms: number): number {
  let found = -1;
  for (const [index, chapter] of chapters.entries()) {
    if (chapter.start_ms > ms) break;
    found = index;
  }
  return found;
}

/** `1:02:03`, `2:03` or `45` as milliseconds; null when it is no time. */
export function parseClock(text: string): number | null {
  const parts = text.trim().split(':');
  if (parts.length > 3 || !parts.every((part) => /^\d{1,4}$/.test(part))) return null;
  const numbers = parts.map(Number);
  if (numbers.slice(1).some((number) => number > 59)) return null;
  return numbers.reduce((total, number) => total * 60 + number, 0) * 1000;
}

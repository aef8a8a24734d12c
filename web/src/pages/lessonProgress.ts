// How far a learner is, and where to carry on.

import type { Lesson, Progress } from '../api/types';

/** Share of the lesson that was played, 0 to 1; 0 while its duration is unknown. */
export function shareOf(lesson: Lesson, progress: Progress | undefined): number {
  if (!progress) return 0;
  if (progress.completed) return 1;
  const total = lesson.asset?.duration_ms ?? 0;
  return total > 0 ? Math.min(1, progress.position_ms / total) : 0;
}

/** The first lesson that is not completed; after the last one, the first again. */
export function lessonToContinue(lessons: Lesson[], progress: ReadonlyMap<string, Progress> | undefined): Lesson | null {
  return lessons.find((lesson) => !progress?.get(lesson.id)?.completed) ?? lessons[0] ?? null;
}

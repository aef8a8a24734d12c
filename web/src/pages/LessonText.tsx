// A lesson to read, and the mark that it was read.

import { useQueryClient } from '@tanstack/react-query';
import { markCompleted } from '../api/progress';
import type { Lesson, Progress } from '../api/types';
import { Icon } from '../ui/Icon';
import { useTask } from '../ui/useTask';

export function LessonText({ lesson, mark }: { lesson: Lesson; mark: Progress | undefined }) {
  const completed = mark?.completed ?? false;
  const queries = useQueryClient();
  const marking = useTask({
    run: (done: boolean) => markCompleted(lesson.id, done, mark?.position_ms ?? 0),
    onDone: () => queries.invalidateQueries({ queryKey: ['progress'] }),
  });
  return (
    <article className="panel">
      <div className="prose prose-long">{lesson.body || 'This lesson has no text yet.'}</div>
      <button
        type="button"
        className={completed ? 'button button-quiet' : 'button'}
        aria-pressed={completed}
        disabled={marking.isPending}
        onClick={() => marking.mutate(!completed)}
        data-testid="mark-completed"
      >
        <Icon name="check" size={18} /> {completed ? 'Completed' : 'Mark as completed'}
      </button>
    </article>
  );
}

// A course's lessons, for its instructor: order them, open one, add one.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { changeLesson } from '../api/courses';
import type { Lesson } from '../api/types';
import { EmptyState } from '../ui/EmptyState';
import { Icon } from '../ui/Icon';
import { useTask } from '../ui/useTask';
import { EditableLesson } from './EditableLesson';
import { swapped } from './lessonOrder';
import { NewLessonForm } from './NewLessonForm';

export function LessonsEditor({ courseId, lessons }: { courseId: string; lessons: Lesson[] }) {
  const queries = useQueryClient();
  const [adding, setAdding] = useState(false);
  const moving = useTask({
    run: async ({ from, to }: { from: number; to: number }) => {
      for (const { id, order_index } of swapped(lessons, from, to)) await changeLesson(id, { order_index });
    },
    onDone: () => queries.invalidateQueries({ queryKey: ['lessons', courseId] }),
  });

  const add = (
    <button type="button" className="button" onClick={() => setAdding(true)} data-testid="new-lesson">
      <Icon name="plus" size={18} /> New lesson
    </button>
  );

  return (
    <>
      {lessons.length === 0 && !adding && (
        <EmptyState icon="play" title="No lessons yet" message="Add the first one, then upload its lecture." action={add} />
      )}
      {lessons.length > 0 && (
        <ol className="lesson-list" data-testid="edit-lessons">
          {lessons.map((lesson, index) => (
            <EditableLesson
              key={lesson.id}
              lesson={lesson}
              number={index + 1}
              last={index === lessons.length - 1}
              busy={moving.isPending}
              onMove={(by) => moving.mutate({ from: index, to: index + by })}
            />
          ))}
        </ol>
      )}
      {adding && <NewLessonForm courseId={courseId} onCancel={() => setAdding(false)} />}
      {lessons.length > 0 && !adding && <p>{add}</p>}
    </>
  );
}

// The course's lessons beside the one that is open, and the way to the next.

import { Link } from 'react-router';
import type { Lesson, Progress } from '../api/types';
import { Icon } from '../ui/Icon';

interface LessonNavProps {
  courseId: string;
  lessons: Lesson[];
  current: string;
  marks: ReadonlyMap<string, Progress> | undefined;
  open: boolean;
}

export function LessonNav({ courseId, lessons, current, marks, open }: LessonNavProps) {
  const at = lessons.findIndex((lesson) => lesson.id === current);
  const next = at >= 0 ? lessons[at + 1] : undefined;
  const path = (lesson: Lesson) => `/courses/${courseId}/lessons/${lesson.id}`;
  return (
    <nav className="lesson-nav" aria-label="Lessons of this course">
      <h2>Lessons</h2>
      <ol>
        {lessons.map((lesson, index) => (
          <li key={lesson.id}>
            <Link to={open ? path(lesson) : `/courses/${courseId}`} aria-current={lesson.id === current ? 'page' : undefined}>
              <span className={marks?.get(lesson.id)?.completed ? 'lesson-mark lesson-mark-done' : 'lesson-mark'}>
                {marks?.get(lesson.id)?.completed ? <Icon name="check" size={14} /> : index + 1}
              </span>
              <span>{lesson.title}</span>
            </Link>
          </li>
        ))}
      </ol>
      {next && open && (
        <Link className="button button-quiet button-wide" to={path(next)} data-testid="next-lesson">
          Next lesson <Icon name="forward" size={18} />
        </Link>
      )}
    </nav>
  );
}

// One lesson in a course's list, with the mark of how far the learner is.

import { Link } from 'react-router';
import { isPlayable } from '../api/assets';
import type { Lesson } from '../api/types';
import { duration, percent } from '../ui/format';
import { Icon } from '../ui/Icon';

interface LessonRowProps {
  lesson: Lesson;
  number: number;
  /** Whether the reader may open it. */
  open: boolean;
  completed: boolean;
  /** 0 to 1. */
  share: number;
}

export function LessonRow({ lesson, number, open, completed, share }: LessonRowProps) {
  const facts = [lesson.type === 'text' ? 'Text' : null, lesson.asset?.duration_ms ? duration(lesson.asset.duration_ms) : null];
  const preparing = lesson.type === 'video' && !(lesson.asset && isPlayable(lesson.asset.state));
  return (
    <li className={open ? 'lesson-row lesson-row-open' : 'lesson-row'} data-testid="lesson-row">
      <span className={completed ? 'lesson-mark lesson-mark-done' : 'lesson-mark'} aria-hidden="true">
        {completed ? <Icon name="check" size={18} /> : number}
      </span>
      <span className="lesson-text">
        {open ? (
          <Link to={`/courses/${lesson.course_id}/lessons/${lesson.id}`} className="card-link">
            {lesson.title}
          </Link>
        ) : (
          <span>{lesson.title}</span>
        )}
        <span className="lesson-facts">
          {facts.filter(Boolean).map((fact) => (
            <span key={fact}>{fact}</span>
          ))}
          {lesson.published_status === 'draft' && <span className="badge">Draft</span>}
          {preparing && <span>Not ready yet</span>}
          {completed && <span className="visually-hidden">Completed</span>}
          {!completed && share > 0.01 && <span>{percent(share)} played</span>}
        </span>
        {!completed && share > 0.01 && (
          <span className="lesson-bar" aria-hidden="true">
            <span style={{ transform: `scaleX(${share})` }} />
          </span>
        )}
      </span>
      <span className="lesson-end" aria-hidden="true">
        <Icon name={open ? (lesson.type === 'text' ? 'text' : 'play') : 'lock'} size={18} />
      </span>
    </li>
  );
}

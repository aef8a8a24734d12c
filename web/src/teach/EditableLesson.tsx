// One lesson in its instructor's list.

import { Link } from 'react-router';
import type { AssetState, Lesson } from '../api/types';
import { duration, percent } from '../ui/format';
import { Icon } from '../ui/Icon';
import { StatusBadge } from './StatusBadge';

interface EditableLessonProps {
  lesson: Lesson;
  number: number;
  last: boolean;
  busy: boolean;
  onMove: (by: 1 | -1) => void;
}

const words: Record<AssetState, string> = {
  awaiting_upload: 'Upload not finished',
  uploading: 'Upload not finished',
  probing: 'Examining',
  processing: 'Processing',
  playable: 'Playable',
  ready: 'Ready',
  failed: 'Failed',
  deleted: 'No lecture yet',
};

function mediaWords(lesson: Lesson): string {
  if (lesson.type === 'text') return 'Text';
  if (!lesson.asset) return 'No lecture yet';
  const { state, progress, duration_ms } = lesson.asset;
  if (state === 'processing' || state === 'playable') return `${words[state]}, ${percent(progress)}`;
  return state === 'ready' && duration_ms ? duration(duration_ms) : words[state];
}

export function EditableLesson({ lesson, number, last, busy, onMove }: EditableLessonProps) {
  return (
    <li className="lesson-row lesson-row-open" data-testid="edit-lesson-row">
      <span className="lesson-mark" aria-hidden="true">
        {number}
      </span>
      <span className="lesson-text">
        <Link to={`/teach/courses/${lesson.course_id}/lessons/${lesson.id}`} className="card-link">
          {lesson.title}
        </Link>
        <span className="lesson-facts">
          <StatusBadge status={lesson.published_status} />
          <span className={lesson.asset?.state === 'failed' ? 'bad' : undefined}>{mediaWords(lesson)}</span>
        </span>
      </span>
      <span className="lesson-moves">
        <button type="button" className="icon-button" disabled={busy || number === 1} aria-label={`Move ${lesson.title} up`} onClick={() => onMove(-1)}>
          <Icon name="up" />
        </button>
        <button type="button" className="icon-button" disabled={busy || last} aria-label={`Move ${lesson.title} down`} onClick={() => onMove(1)}>
          <Icon name="down" />
        </button>
      </span>
    </li>
  );
}

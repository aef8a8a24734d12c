// Enroll in a course, carry on with it, leave it.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation } from 'react-router';
import { enroll, leave } from '../api/courses';
import type { Course, Lesson } from '../api/types';
import { signInPath } from '../session/returnPath';
import { useSession } from '../session/useSession';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { priceLabel } from '../ui/format';
import { Icon } from '../ui/Icon';
import { useTask } from '../ui/useTask';

interface EnrollPanelProps {
  course: Course;
  teaches: boolean;
  next: Lesson | null;
  started: boolean;
}

export function EnrollPanel({ course, teaches, next, started }: EnrollPanelProps) {
  const { user } = useSession();
  const location = useLocation();
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);

  const refresh = () =>
    Promise.all([
      queries.invalidateQueries({ queryKey: ['course', course.id] }),
      queries.invalidateQueries({ queryKey: ['courses'] }),
      queries.invalidateQueries({ queryKey: ['lessons', course.id] }),
    ]);
  const enrolling = useTask({ run: () => enroll(course.id), done: `You are enrolled in ${course.title}.`, onDone: refresh });
  const leaving = useTask({
    run: () => leave(course.id),
    done: `You left ${course.title}.`,
    onDone: async () => {
      await refresh();
      setAsking(false);
    },
  });

  if (!user) {
    return (
      <>
        <p className="price">{priceLabel(course.price)}</p>
        <Link className="button button-wide" to={signInPath(location.pathname)} data-testid="enroll">
          Sign in to enroll
        </Link>
      </>
    );
  }
  if (!course.enrolled && !teaches) {
    return (
      <>
        <p className="price">{priceLabel(course.price)}</p>
        <button
          type="button"
          className="button button-wide"
          disabled={enrolling.isPending}
          onClick={() => enrolling.mutate()}
          data-testid="enroll"
        >
          {enrolling.isPending ? 'Enrolling…' : 'Enroll'}
        </button>
        <p className="muted small">All lessons open at once. You can leave at any time.</p>
      </>
    );
  }
  return (
    <>
      {course.enrolled && (
        <p className="side-status" data-testid="enrolled">
          <Icon name="check" size={18} /> You are enrolled
        </p>
      )}
      {teaches && !course.enrolled && <p className="muted">You teach this course.</p>}
      {next && (
        <Link className="button button-wide" to={`/courses/${course.id}/lessons/${next.id}`} data-testid="continue">
          {started ? 'Continue' : 'Start the first lesson'}
        </Link>
      )}
      {course.enrolled && (
        <button type="button" className="link-button" onClick={() => setAsking(true)} data-testid="leave">
          Leave course
        </button>
      )}
      <ConfirmDialog
        open={asking}
        title={`Leave ${course.title}?`}
        message="Its lessons stop playing for you at once. You can enroll again later; your progress is kept."
        confirmLabel={leaving.isPending ? 'Leaving…' : 'Leave course'}
        busy={leaving.isPending}
        onConfirm={() => leaving.mutate()}
        onCancel={() => setAsking(false)}
      />
    </>
  );
}

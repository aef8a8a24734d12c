// A lesson that the reader may not open: why, and what to do.

import { Link, useLocation } from 'react-router';
import { signInPath } from '../session/returnPath';
import { EmptyState } from '../ui/EmptyState';

export function LessonLocked({ courseId, signedIn }: { courseId: string; signedIn: boolean }) {
  const location = useLocation();
  return (
    <div className="panel" data-testid="lesson-locked">
      <EmptyState
        icon="lock"
        title={signedIn ? 'Enroll to open this lesson' : 'Sign in to open this lesson'}
        message="Lessons are for the people enrolled in the course."
        action={
          signedIn ? (
            <Link className="button" to={`/courses/${courseId}`}>
              Go to the course page
            </Link>
          ) : (
            <Link className="button" to={signInPath(location.pathname)}>
              Sign in
            </Link>
          )
        }
      />
    </div>
  );
}

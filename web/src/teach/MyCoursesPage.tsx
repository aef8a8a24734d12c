// The courses I teach, and a new one.

import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { messageFor } from '../api/problem';
import { myCoursesQuery } from '../api/queries';
import { RequireInstructor } from '../session/RequireRole';
import { useSession } from '../session/useSession';
import { EmptyState } from '../ui/EmptyState';
import { ErrorState } from '../ui/ErrorState';
import { Icon } from '../ui/Icon';
import { Page } from '../ui/Page';
import { Skeleton } from '../ui/Skeleton';
import { NewCourseForm } from './NewCourseForm';
import { TaughtCourse } from './TaughtCourse';

export function MyCoursesPage() {
  return (
    <RequireInstructor>
      <MyCourses />
    </RequireInstructor>
  );
}

function MyCourses() {
  const { user } = useSession();
  const query = useInfiniteQuery(myCoursesQuery());
  const [adding, setAdding] = useState(false);
  const courses = (query.data?.pages.flatMap((page) => page.items) ?? []).filter((course) => course.owner.id === user?.id);

  const newCourse = (
    <button type="button" className="button" onClick={() => setAdding(true)} data-testid="new-course">
      <Icon name="plus" size={18} /> New course
    </button>
  );

  return (
    <Page title="My courses" actions={!adding && courses.length > 0 ? newCourse : undefined}>
      {adding && <NewCourseForm onCancel={() => setAdding(false)} />}
      {query.isPending && (
        <div aria-busy="true">
          <Skeleton kind="row" />
          <Skeleton kind="row" />
        </div>
      )}
      {query.isError && !query.data && (
        <ErrorState title="Your courses could not be read" message={messageFor(query.error)} onRetry={() => void query.refetch()} />
      )}
      {query.data && courses.length === 0 && !adding && (
        <EmptyState
          icon="play"
          title="Make your first course"
          message="Give it a title, add a lesson, upload the lecture. Learners see it when you publish it."
          action={newCourse}
        />
      )}
      <ul className="taught-list" data-testid="my-courses">
        {courses.map((course) => (
          <TaughtCourse key={course.id} course={course} />
        ))}
      </ul>
      {query.hasNextPage && (
        <p className="more">
          <button type="button" className="button button-quiet" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            Show more courses
          </button>
        </p>
      )}
    </Page>
  );
}

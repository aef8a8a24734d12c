// One of my courses: publish, lessons, what it says about itself.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { changeCourse, deleteCourse } from '../api/courses';
import { ApiError, messageFor } from '../api/problem';
import { courseQuery, lessonsQuery } from '../api/queries';
import type { PublishedStatus } from '../api/types';
import { NotFoundPage } from '../pages/NotFoundPage';
import { RequireInstructor } from '../session/RequireRole';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { ErrorState } from '../ui/ErrorState';
import { Page } from '../ui/Page';
import { PageSkeleton } from '../ui/Skeleton';
import { useTask } from '../ui/useTask';
import { CourseForm } from './CourseForm';
import { LessonsEditor } from './LessonsEditor';
import { StatusBadge } from './StatusBadge';

export function EditCoursePage() {
  return (
    <RequireInstructor>
      <EditCourse />
    </RequireInstructor>
  );
}

function EditCourse() {
  const { courseId = '' } = useParams();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const course = useQuery(courseQuery(courseId));
  const lessons = useQuery(lessonsQuery(courseId));
  const [deleting, setDeleting] = useState(false);

  const publishing = useTask({
    run: (status: PublishedStatus) => changeCourse(courseId, { published_status: status }, course.data?.etag ?? null),
    onDone: (changed) => {
      queries.setQueryData(courseQuery(courseId).queryKey, changed);
      void queries.invalidateQueries({ queryKey: ['courses'] });
    },
  });
  const removing = useTask({
    run: () => deleteCourse(courseId),
    done: 'The course is deleted.',
    onDone: async () => {
      await navigate('/teach', { replace: true });
      await queries.invalidateQueries({ queryKey: ['courses'] });
      queries.removeQueries({ queryKey: ['course', courseId] });
    },
  });

  if (course.isPending) return <PageSkeleton />;
  if (course.isError && !course.data) {
    if (course.error instanceof ApiError && course.error.status === 404) return <NotFoundPage />;
    return <ErrorState title="The course could not be read" message={messageFor(course.error)} onRetry={() => void course.refetch()} />;
  }
  const { value, etag } = course.data;
  const published = value.published_status === 'published';

  return (
    <Page
      title={value.title}
      eyebrow={
        <>
          <Link to="/teach">My courses</Link>
          <StatusBadge status={value.published_status} />
        </>
      }
      actions={
        <>
          <Link className="button button-quiet" to={`/courses/${courseId}`}>
            View
          </Link>
          <button
            type="button"
            className={published ? 'button button-quiet' : 'button'}
            disabled={publishing.isPending}
            onClick={() => publishing.mutate(published ? 'draft' : 'published')}
            data-testid="publish"
          >
            {published ? 'Unpublish' : 'Publish course'}
          </button>
        </>
      }
    >
      <div className="edit-layout">
        <section aria-labelledby="lessons">
          <h2 id="lessons">Lessons</h2>
          {lessons.isError && !lessons.data && (
            <ErrorState title="The lessons could not be read" message={messageFor(lessons.error)} onRetry={() => void lessons.refetch()} />
          )}
          {lessons.data && <LessonsEditor courseId={courseId} lessons={lessons.data} />}
        </section>
        <section aria-labelledby="about">
          <h2 id="about">About the course</h2>
          <CourseForm key={value.id} course={value} etag={etag} />
          <button type="button" className="link-button link-button-danger" onClick={() => setDeleting(true)} data-testid="delete-course">
            Delete course
          </button>
        </section>
      </div>
      <ConfirmDialog
        open={deleting}
        title={`Delete ${value.title}?`}
        message="The course, its lessons and their lectures are removed for everybody."
        confirmLabel="Delete course"
        busy={removing.isPending}
        onConfirm={() => removing.mutate()}
        onCancel={() => setDeleting(false)}
      />
    </Page>
  );
}

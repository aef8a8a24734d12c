// One lesson of mine: its lecture, its words, whether learners see it.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { isPlayable } from '../api/assets';
import { changeLesson, deleteLesson } from '../api/courses';
import { ApiError, messageFor } from '../api/problem';
import { courseQuery, lessonQuery } from '../api/queries';
import type { PublishedStatus } from '../api/types';
import { NotFoundPage } from '../pages/NotFoundPage';
import { RequireInstructor } from '../session/RequireRole';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { ErrorState } from '../ui/ErrorState';
import { Page } from '../ui/Page';
import { PageSkeleton } from '../ui/Skeleton';
import { useTask } from '../ui/useTask';
import { LessonMedia } from '../upload/LessonMedia';
import { CaptionsEditor } from './CaptionsEditor';
import { ChaptersEditor } from './ChaptersEditor';
import { LessonForm } from './LessonForm';
import { StatusBadge } from './StatusBadge';

export function EditLessonPage() {
  return (
    <RequireInstructor>
      <EditLesson />
    </RequireInstructor>
  );
}

function EditLesson() {
  const { courseId = '', lessonId = '' } = useParams();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const course = useQuery(courseQuery(courseId));
  const lesson = useQuery(lessonQuery(lessonId));
  const [deleting, setDeleting] = useState(false);

  const publishing = useTask({
    run: (status: PublishedStatus) => changeLesson(lessonId, { published_status: status }),
    onDone: (changed) => {
      queries.setQueryData(lessonQuery(lessonId).queryKey, changed);
      void queries.invalidateQueries({ queryKey: ['lessons', courseId] });
    },
  });
  const removing = useTask({
    run: () => deleteLesson(lessonId),
    done: 'The lesson is deleted.',
    onDone: async () => {
      await navigate(`/teach/courses/${courseId}`, { replace: true });
      await queries.invalidateQueries({ queryKey: ['lessons', courseId] });
      void queries.invalidateQueries({ queryKey: ['courses'] });
      queries.removeQueries({ queryKey: ['lesson', lessonId] });
    },
  });

  if (lesson.isPending) return <PageSkeleton />;
  if (lesson.isError && !lesson.data) {
    if (lesson.error instanceof ApiError && lesson.error.status === 404) return <NotFoundPage />;
    return <ErrorState title="The lesson could not be read" message={messageFor(lesson.error)} onRetry={() => void lesson.refetch()} />;
  }
  const value = lesson.data;
  const published = value.published_status === 'published';
  const watchable = value.type === 'text' || (value.asset ? isPlayable(value.asset.state) : false);

  return (
    <Page
      title={value.title}
      eyebrow={
        <>
          <Link to={`/teach/courses/${courseId}`}>{course.data?.value.title ?? 'Course'}</Link>
          <StatusBadge status={value.published_status} />
        </>
      }
      actions={
        <>
          {watchable && (
            <Link className="button button-quiet" to={`/courses/${courseId}/lessons/${lessonId}`} data-testid="view-lesson">
              View
            </Link>
          )}
          <button
            type="button"
            className={published ? 'button button-quiet' : 'button'}
            disabled={publishing.isPending}
            onClick={() => publishing.mutate(published ? 'draft' : 'published')}
            data-testid="publish-lesson"
          >
            {published ? 'Unpublish' : 'Publish lesson'}
          </button>
        </>
      }
    >
      {course.data?.value.published_status === 'draft' && (
        <p className="notice page-notice" data-testid="draft-course">
          The course is a draft: learners see this lesson once you publish the <Link to={`/teach/courses/${courseId}`}>course</Link>.
        </p>
      )}
      <div className="edit-layout">
        {value.type === 'video' && (
          <section aria-labelledby="lecture">
            <h2 id="lecture">Lecture</h2>
            <div className="panel">
              <LessonMedia lesson={value} />
            </div>
            {value.asset && value.asset.state !== 'failed' && value.asset.state !== 'deleted' && (
              <>
                <h2>Captions</h2>
                <CaptionsEditor key={value.asset.id} assetId={value.asset.id} ready={value.asset.state === 'ready'} />
              </>
            )}
            {value.asset && isPlayable(value.asset.state) && (
              <>
                <h2>Chapters</h2>
                <ChaptersEditor
                  key={value.asset.id}
                  assetId={value.asset.id}
                  lessonId={lessonId}
                  durationMs={value.asset.duration_ms ?? 0}
                />
              </>
            )}
          </section>
        )}
        <section aria-labelledby="words">
          <h2 id="words">About the lesson</h2>
          <LessonForm key={value.id} lesson={value} />
          <button type="button" className="link-button link-button-danger" onClick={() => setDeleting(true)} data-testid="delete-lesson">
            Delete lesson
          </button>
        </section>
      </div>
      <ConfirmDialog
        open={deleting}
        title={`Delete ${value.title}?`}
        message="The lesson and its lecture are removed for everybody."
        confirmLabel="Delete lesson"
        busy={removing.isPending}
        onConfirm={() => removing.mutate()}
        onCancel={() => setDeleting(false)}
      />
    </Page>
  );
}

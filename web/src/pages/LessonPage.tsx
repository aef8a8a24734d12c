// One lesson: the player or the text, and the way through the course.

import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from 'react-router';
import { isFinal, isPlayable } from '../api/assets';
import { ApiError, messageFor } from '../api/problem';
import { assetQuery, courseQuery, lessonQuery, lessonsQuery, progressQuery } from '../api/queries';
import { LessonPlayer } from '../player/LessonPlayer';
import { useSession } from '../session/useSession';
import { ErrorState } from '../ui/ErrorState';
import { duration } from '../ui/format';
import { Page } from '../ui/Page';
import { PageSkeleton } from '../ui/Skeleton';
import { LessonLocked } from './LessonLocked';
import { LessonNav } from './LessonNav';
import { LessonPreparing } from './LessonPreparing';
import { LessonText } from './LessonText';
import { NotFoundPage } from './NotFoundPage';

const POLL_MS = 5_000;

export function LessonPage() {
  const { courseId = '', lessonId = '' } = useParams();
  const { user } = useSession();
  const course = useQuery(courseQuery(courseId));
  const lesson = useQuery({
    ...lessonQuery(lessonId),
    // While it is being prepared the page looks again by itself.
    refetchInterval: ({ state }) => {
      const asset = state.data?.asset;
      return asset && !isPlayable(asset.state) && !isFinal(asset.state) ? POLL_MS : false;
    },
  });
  const lessons = useQuery(lessonsQuery(courseId));
  const progress = useQuery({ ...progressQuery(user?.id ?? ''), enabled: user !== null });
  const playable = lesson.data?.asset ? isPlayable(lesson.data.asset.state) : false;
  const teaches = user !== null && (user.id === course.data?.value.owner.id || user.role === 'admin');
  const mayOpen = teaches || (course.data?.value.enrolled ?? false);
  // Only for those who may see it: to others the server says nothing of an asset.
  const readsAsset = playable && mayOpen;
  const asset = useQuery({ ...assetQuery(lesson.data?.asset?.id ?? ''), enabled: readsAsset, retry: false });

  const failed = [course, lesson].find((query) => query.isError && !query.data);
  if (failed) {
    if (failed.error instanceof ApiError && failed.error.status === 404) return <NotFoundPage />;
    const retry = () => void Promise.all([course, lesson, lessons].filter((query) => query.isError).map((query) => query.refetch()));
    return <ErrorState title="The lesson could not be read" message={messageFor(failed.error)} onRetry={retry} />;
  }
  const waiting = (user !== null && progress.isPending) || (readsAsset && asset.isPending);
  if (!course.data || !lesson.data || waiting) return <PageSkeleton />;

  const mark = progress.data?.get(lessonId);
  const durationMs = lesson.data.asset?.duration_ms ?? 0;
  const renditions = asset.data?.renditions ?? [];

  return (
    <Page
      title={lesson.data.title}
      eyebrow={<Link to={`/courses/${courseId}`}>{course.data.value.title}</Link>}
      actions={
        teaches ? (
          <Link className="button button-quiet" to={`/teach/courses/${courseId}/lessons/${lessonId}`}>
            Edit lesson
          </Link>
        ) : undefined
      }
    >
      <div className="lesson-layout">
        <div className="lesson-main">
          {lesson.data.type === 'text' && mayOpen && <LessonText lesson={lesson.data} mark={mark} />}
          {lesson.data.type === 'text' && !mayOpen && <LessonLocked courseId={courseId} signedIn={user !== null} />}
          {lesson.data.type === 'video' && !playable && <LessonPreparing asset={lesson.data.asset ?? null} />}
          {lesson.data.type === 'video' && playable && !user && <LessonLocked courseId={courseId} signedIn={false} />}
          {lesson.data.type === 'video' && playable && user && (
            <LessonPlayer
              key={lessonId}
              lessonId={lessonId}
              courseId={courseId}
              assetId={lesson.data.asset?.id ?? ''}
              mayOpen={mayOpen}
              title={lesson.data.title}
              durationMs={durationMs}
              storedMs={mark?.position_ms ?? 0}
              completed={mark?.completed ?? false}
              growing={asset.data?.playable_ms !== undefined}
              audioOnly={renditions.length > 0 ? renditions.every((rendition) => rendition.kind === 'audio') : null}
            />
          )}
          {lesson.data.type === 'video' && (durationMs > 0 || mark?.completed) && (
            <p className="muted lesson-meta">
              {durationMs > 0 && <span>Lecture, {duration(durationMs)}</span>}
              {mark?.completed && (
                <span className="badge badge-good" data-testid="completed">
                  Completed
                </span>
              )}
            </p>
          )}
          {lesson.data.type === 'video' && lesson.data.body && <p className="prose">{lesson.data.body}</p>}
        </div>
        <LessonNav courseId={courseId} lessons={lessons.data ?? []} current={lessonId} marks={progress.data} open={mayOpen} />
      </div>
    </Page>
  );
}

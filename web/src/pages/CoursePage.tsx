// One course: what it is about, its lessons in order, enroll and leave.

import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from 'react-router';
import { ApiError, messageFor } from '../api/problem';
import { courseQuery, lessonsQuery, progressQuery } from '../api/queries';
import { useSession } from '../session/useSession';
import { CourseCover } from '../ui/CourseCover';
import { EmptyState } from '../ui/EmptyState';
import { ErrorState } from '../ui/ErrorState';
import { countOf } from '../ui/format';
import { Page } from '../ui/Page';
import { PageSkeleton } from '../ui/Skeleton';
import { EnrollPanel } from './EnrollPanel';
import { LessonRow } from './LessonRow';
import { lessonToContinue, shareOf } from './lessonProgress';
import { NotFoundPage } from './NotFoundPage';

export function CoursePage() {
  const { courseId = '' } = useParams();
  const { user } = useSession();
  const course = useQuery(courseQuery(courseId));
  const lessons = useQuery(lessonsQuery(courseId));
  const progress = useQuery({ ...progressQuery(user?.id ?? ''), enabled: user !== null });

  if (course.isPending) return <PageSkeleton />;
  if (course.isError && !course.data) {
    if (course.error instanceof ApiError && course.error.status === 404) return <NotFoundPage />;
    const retry = () => void Promise.all([course.refetch(), lessons.refetch()]);
    return <ErrorState title="The course could not be read" message={messageFor(course.error)} onRetry={retry} />;
  }

  const { value } = course.data;
  const teaches = user !== null && (user.id === value.owner.id || user.role === 'admin');
  const mayOpen = value.enrolled || teaches;
  const marks = user ? progress.data : undefined;
  const open = (lessons.data ?? []).filter((lesson) => lesson.published_status === 'published' || teaches);
  const next = lessonToContinue(open, marks);
  const completed = open.filter((lesson) => marks?.get(lesson.id)?.completed).length;

  return (
    <Page
      title={value.title}
      eyebrow={
        <>
          {value.owner.name}
          {value.published_status === 'draft' && <span className="badge">Draft</span>}
        </>
      }
      actions={
        teaches ? (
          <Link className="button button-quiet" to={`/teach/courses/${courseId}`} data-testid="edit-course">
            Edit course
          </Link>
        ) : undefined
      }
    >
      <div className="course-layout">
        <div className="course-main">
          {value.description && <p className="prose">{value.description}</p>}
          <section aria-labelledby="lessons">
            <div className="section-head">
              <h2 id="lessons">Lessons</h2>
              {lessons.data && (
                <span className="muted" data-testid="lessons-summary">
                  {completed > 0 ? `${completed} of ${countOf(open.length, 'lesson')} completed` : countOf(open.length, 'lesson')}
                </span>
              )}
            </div>
            {lessons.isError && !lessons.data && (
              <ErrorState
                title="The lessons could not be read"
                message={messageFor(lessons.error)}
                onRetry={() => void lessons.refetch()}
              />
            )}
            {lessons.data && open.length === 0 && (
              <EmptyState
                title="No lessons yet"
                message={teaches ? 'Add the first lesson, then upload its lecture.' : 'The instructor has not published a lesson yet.'}
                action={
                  teaches ? (
                    <Link className="button" to={`/teach/courses/${courseId}`}>
                      Add a lesson
                    </Link>
                  ) : undefined
                }
              />
            )}
            <ol className="lesson-list" data-testid="lessons">
              {open.map((lesson, index) => (
                <LessonRow
                  key={lesson.id}
                  lesson={lesson}
                  number={index + 1}
                  open={mayOpen}
                  completed={marks?.get(lesson.id)?.completed ?? false}
                  share={shareOf(lesson, marks?.get(lesson.id))}
                />
              ))}
            </ol>
          </section>
        </div>
        <aside className="course-side" aria-label="Enrollment">
          <div className="panel side-panel">
            <CourseCover id={value.id} />
            <EnrollPanel course={value} teaches={teaches} next={next} started={marks !== undefined && open.some((lesson) => marks.has(lesson.id))} />
          </div>
        </aside>
      </div>
    </Page>
  );
}

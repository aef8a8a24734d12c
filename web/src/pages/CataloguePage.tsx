// The catalogue: my courses first, then every published one.

import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { messageFor } from '../api/problem';
import { catalogueQuery, myCoursesQuery } from '../api/queries';
import { useSession } from '../session/useSession';
import { EmptyState } from '../ui/EmptyState';
import { ErrorState } from '../ui/ErrorState';
import { Page } from '../ui/Page';
import { CardsSkeleton } from '../ui/Skeleton';
import { CourseCard } from './CourseCard';

export function CataloguePage() {
  const { user } = useSession();
  const catalogue = useInfiniteQuery(catalogueQuery());
  const mine = useInfiniteQuery({ ...myCoursesQuery(), enabled: user !== null });

  const enrolled = user ? (mine.data?.pages.flatMap((page) => page.items) ?? []).filter((course) => course.enrolled) : [];
  // What stands under "Your courses" is not shown twice.
  const others = (catalogue.data?.pages.flatMap((page) => page.items) ?? []).filter(
    (course) => course.published_status === 'published' && !course.enrolled,
  );
  const nothingElse = enrolled.length > 0 && others.length === 0 && catalogue.isSuccess && !catalogue.hasNextPage;
  const teaches = user !== null && user.role !== 'student';

  return (
    <Page title="Courses" heading={user ? `Hello, ${user.name.split(' ')[0]}` : 'Learn from a lecture, at your own pace'}>
      {!user && (
        <p className="lede">Choose a course, enroll, and carry on where you stopped, on any device.</p>
      )}
      {enrolled.length > 0 && (
        <section className="section" aria-labelledby="mine">
          <h2 id="mine">Your courses</h2>
          <ul className="course-grid" data-testid="enrolled-courses">
            {enrolled.map((course) => (
              <CourseCard key={course.id} course={course} />
            ))}
          </ul>
        </section>
      )}
      {!nothingElse && (
        <section className="section" aria-labelledby="all">
          <h2 id="all">{enrolled.length > 0 ? 'More courses' : 'Catalogue'}</h2>
          {catalogue.isPending && <CardsSkeleton />}
          {catalogue.isError && !catalogue.data && (
            <ErrorState
              title="The catalogue could not be read"
              message={messageFor(catalogue.error)}
              onRetry={() => void catalogue.refetch()}
            />
          )}
          {catalogue.data && others.length === 0 && enrolled.length === 0 && (
            <EmptyState
              title="No course is published yet"
              message={teaches ? 'Make the first one, and publish it when it is ready.' : 'Come back soon: courses appear here when instructors publish them.'}
              icon="play"
              action={
                teaches ? (
                  <Link className="button" to="/teach">
                    Make a course
                  </Link>
                ) : undefined
              }
            />
          )}
          {others.length > 0 && (
            <ul className="course-grid" data-testid="catalogue">
              {others.map((course) => (
                <CourseCard key={course.id} course={course} />
              ))}
            </ul>
          )}
          {catalogue.hasNextPage && (
            <p className="more">
              <button
                type="button"
                className="button button-quiet"
                disabled={catalogue.isFetchingNextPage}
                onClick={() => void catalogue.fetchNextPage()}
                data-testid="more-courses"
              >
                {catalogue.isFetchingNextPage ? 'Loading…' : 'Show more courses'}
              </button>
            </p>
          )}
        </section>
      )}
    </Page>
  );
}

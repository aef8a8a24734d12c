// One of my courses in the list.

import { Link } from 'react-router';
import type { Course } from '../api/types';
import { CourseCover } from '../ui/CourseCover';
import { countOf, priceLabel } from '../ui/format';
import { StatusBadge } from './StatusBadge';

export function TaughtCourse({ course }: { course: Course }) {
  return (
    <li className="taught" data-testid="taught-course">
      <CourseCover id={course.id} />
      <div className="taught-text">
        <Link to={`/teach/courses/${course.id}`} className="card-link">
          {course.title}
        </Link>
        <p className="lesson-facts">
          <StatusBadge status={course.published_status} />
          <span>{countOf(course.lesson_count, 'lesson')}</span>
          <span>{priceLabel(course.price)}</span>
        </p>
      </div>
    </li>
  );
}

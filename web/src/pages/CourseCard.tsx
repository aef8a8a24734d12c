// One course in the catalogue.

import { Link } from 'react-router';
import type { Course } from '../api/types';
import { countOf, priceLabel } from '../ui/format';
import { CourseCover } from '../ui/CourseCover';

export function CourseCard({ course }: { course: Course }) {
  return (
    <li className="course-card" data-testid="course-card">
      <CourseCover id={course.id} />
      <div className="course-card-text">
        <h3>
          <Link to={`/courses/${course.id}`} className="card-link">
            {course.title}
          </Link>
        </h3>
        <p className="muted">{course.owner.name}</p>
        <p className="course-card-facts">
          <span>{countOf(course.lesson_count, 'lesson')}</span>
          {course.enrolled ? <span className="badge badge-good">Enrolled</span> : <span>{priceLabel(course.price)}</span>}
        </p>
      </div>
    </li>
  );
}

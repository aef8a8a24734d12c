// Courses, lessons, enrollments.

import { request, send } from './client';
import type { Course, CourseChange, CourseDraft, CoursePageAnswer, Lesson, LessonChange, LessonDraft } from './types';

/** A value with the tag that guards its next change. */
export interface Tagged<T> {
  value: T;
  etag: string | null;
}

export function listCourses(options: { cursor?: string | null; mine?: boolean; signal?: AbortSignal }): Promise<CoursePageAnswer> {
  const query = new URLSearchParams({ limit: '24' });
  if (options.cursor) query.set('cursor', options.cursor);
  if (options.mine) query.set('mine', 'true');
  return request('GET', `/courses?${query}`, { signal: options.signal });
}

export async function getCourse(id: string, signal?: AbortSignal): Promise<Tagged<Course>> {
  return tagged(await send('GET', `/courses/${id}`, { signal }));
}

export function createCourse(draft: CourseDraft): Promise<Course> {
  return request('POST', '/courses', { body: draft });
}

export async function changeCourse(id: string, change: CourseChange, etag: string | null): Promise<Tagged<Course>> {
  return tagged(await send('PATCH', `/courses/${id}`, { body: change, headers: etag ? { 'If-Match': etag } : {} }));
}

export async function deleteCourse(id: string): Promise<void> {
  await send('DELETE', `/courses/${id}`);
}

export async function listLessons(courseId: string, signal?: AbortSignal): Promise<Lesson[]> {
  const answer = await request<{ items: Lesson[] }>('GET', `/courses/${courseId}/lessons`, { signal });
  return answer.items;
}

export function getLesson(id: string, signal?: AbortSignal): Promise<Lesson> {
  return request('GET', `/lessons/${id}`, { signal });
}

export function createLesson(courseId: string, draft: LessonDraft): Promise<Lesson> {
  return request('POST', `/courses/${courseId}/lessons`, { body: draft });
}

export function changeLesson(id: string, change: LessonChange): Promise<Lesson> {
  return request('PATCH', `/lessons/${id}`, { body: change });
}

export async function deleteLesson(id: string): Promise<void> {
  await send('DELETE', `/lessons/${id}`);
}

export async function enroll(courseId: string): Promise<void> {
  await send('POST', `/enrollments/${courseId}`);
}

export async function leave(courseId: string): Promise<void> {
  await send('DELETE', `/enrollments/${courseId}`);
}

async function tagged<T>(response: Response): Promise<Tagged<T>> {
  return { value: (await response.json()) as T, etag: response.headers.get('ETag') };
}

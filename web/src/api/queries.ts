// What pages read, under which name it is remembered, and how long it stays fresh.

import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { getAsset } from './assets';
import { listCaptions } from './captions';
import { listChapters } from './chapters';
import { getCourse, getLesson, listCourses, listLessons } from './courses';
import { listProgress } from './progress';

export const catalogueQuery = () =>
  infiniteQueryOptions({
    queryKey: ['courses', 'catalogue'],
    queryFn: ({ pageParam, signal }) => listCourses({ cursor: pageParam, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });

export const myCoursesQuery = () =>
  infiniteQueryOptions({
    queryKey: ['courses', 'mine'],
    queryFn: ({ pageParam, signal }) => listCourses({ cursor: pageParam, mine: true, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });

export const courseQuery = (id: string) =>
  queryOptions({ queryKey: ['course', id], queryFn: ({ signal }) => getCourse(id, signal) });

export const lessonsQuery = (courseId: string) =>
  queryOptions({
    queryKey: ['lessons', courseId],
    queryFn: async ({ signal }) => (await listLessons(courseId, signal)).toSorted((a, b) => a.order_index - b.order_index),
  });

export const lessonQuery = (id: string) =>
  queryOptions({ queryKey: ['lesson', id], queryFn: ({ signal }) => getLesson(id, signal) });

export const assetQuery = (id: string) =>
  queryOptions({ queryKey: ['asset', id], queryFn: ({ signal }) => getAsset(id, signal) });

export const captionsQuery = (assetId: string) =>
  queryOptions({ queryKey: ['captions', assetId], queryFn: ({ signal }) => listCaptions(assetId, signal) });

export const chaptersQuery = (assetId: string) =>
  queryOptions({ queryKey: ['chapters', assetId], queryFn: ({ signal }) => listChapters(assetId, signal) });

export const progressQuery = (userId: string) =>
  queryOptions({
    queryKey: ['progress', userId],
    queryFn: async ({ signal }) => new Map((await listProgress(userId, signal)).map((entry) => [entry.lesson_id, entry])),
  });

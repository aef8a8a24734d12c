// Which address shows which page. The player and the upload load only when they are opened.

import { createBrowserRouter } from 'react-router';
import { CrashPage } from './layout/CrashPage';
import { Shell } from './layout/Shell';
import { CataloguePage } from './pages/CataloguePage';
import { CoursePage } from './pages/CoursePage';
import { NotFoundPage } from './pages/NotFoundPage';
import { RegisterPage } from './pages/RegisterPage';
import { SignInPage } from './pages/SignInPage';

export const router = createBrowserRouter([
  {
    element: <Shell />,
    errorElement: <CrashPage />,
    hydrateFallbackElement: <span />,
    children: [
      { index: true, element: <CataloguePage /> },
      { path: 'sign-in', element: <SignInPage /> },
      { path: 'register', element: <RegisterPage /> },
      { path: 'courses/:courseId', element: <CoursePage /> },
      {
        path: 'courses/:courseId/lessons/:lessonId',
        lazy: async () => ({ Component: (await import('./pages/LessonPage')).LessonPage }),
      },
      { path: 'teach', lazy: async () => ({ Component: (await import('./teach/MyCoursesPage')).MyCoursesPage }) },
      { path: 'teach/courses/:courseId', lazy: async () => ({ Component: (await import('./teach/EditCoursePage')).EditCoursePage }) },
      {
        path: 'teach/courses/:courseId/lessons/:lessonId',
        lazy: async () => ({ Component: (await import('./teach/EditLessonPage')).EditLessonPage }),
      },
      { path: '*', element: <NotFoundPage /> },
    ],
  },
]);

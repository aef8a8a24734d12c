// Pages that need an account, and those that need to teach.

import type { ReactNode } from 'react';
import { Link, Navigate, useLocation } from 'react-router';
import { EmptyState } from '../ui/EmptyState';
import { Page } from '../ui/Page';
import { signInPath } from './returnPath';
import { useSession } from './useSession';

export function RequireInstructor({ children }: { children: ReactNode }) {
  const { user } = useSession();
  const location = useLocation();
  if (!user) return <Navigate to={signInPath(location.pathname, location.search)} replace />;
  if (user.role === 'student') {
    return (
      <Page title="For instructors" narrow>
        <EmptyState
          icon="lock"
          title="This page is for instructors"
          message="Your account is for learning. To teach, sign out and register an account that teaches."
          action={
            <Link className="button" to="/">
              Go to the catalogue
            </Link>
          }
        />
      </Page>
    );
  }
  return children;
}

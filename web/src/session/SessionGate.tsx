// Waits for the stored session before any page asks the server for something, and forgets everything that was read
// for one account when another one takes over.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, type ReactNode } from 'react';
import { session } from '../api/browserSession';
import { ErrorState } from '../ui/ErrorState';
import { PageSkeleton } from '../ui/Skeleton';
import { useSession } from './useSession';

export function SessionGate({ children }: { children: ReactNode }) {
  const { status, user } = useSession();
  const queries = useQueryClient();
  const userId = user?.id ?? null;
  const known = useRef<string | null | undefined>(undefined);

  useEffect(() => {
    if (status === 'restoring' || status === 'unreachable') return;
    if (known.current !== undefined && known.current !== userId) {
      queries.cancelQueries();
      queries.resetQueries();
    }
    known.current = userId;
  }, [status, userId, queries]);

  if (status === 'restoring') return <PageSkeleton />;
  if (status === 'unreachable') {
    return (
      <ErrorState
        title="The server cannot be reached"
        message="Check your connection. You are still signed in on this device."
        onRetry={() => void session.restore()}
      />
    );
  }
  return children;
}

// Who is signed in, for components.

import { useSyncExternalStore } from 'react';
import { session } from '../api/browserSession';
import type { SessionState } from '../api/session';

export function useSession(): SessionState {
  return useSyncExternalStore(session.subscribe, session.state);
}

// Sign in, register, sign out.

import { session } from './browserSession';
import { request, send } from './client';
import type { Role, SessionAnswer } from './types';

export async function signIn(email: string, password: string, lasting: boolean): Promise<void> {
  const answer = await request<SessionAnswer>('POST', '/auth/login', { body: { email, password }, anonymous: true });
  session.begin(answer, lasting);
}

export interface Registration {
  email: string;
  password: string;
  name: string;
  role: Extract<Role, 'student' | 'instructor'>;
}

export async function register(registration: Registration): Promise<void> {
  const answer = await request<SessionAnswer>('POST', '/auth/register', { body: registration, anonymous: true });
  session.begin(answer, true);
}

/** Signs out here at once; the server is told when it can be reached. */
export async function signOut(): Promise<void> {
  const refreshToken = session.refreshToken();
  session.end();
  if (refreshToken === null) return;
  await send('POST', '/auth/logout', { body: { refresh_token: refreshToken }, anonymous: true }).catch(() => undefined);
}

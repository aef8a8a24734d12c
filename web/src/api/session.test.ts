import { describe, expect, it, vi } from 'vitest';
import { Session, type SessionDoors } from './session';
import type { SessionAnswer } from './types';

const answer = (n: number): SessionAnswer => ({
  user: { id: 'usr_1', email: 'a@b.c', name: 'A', role: 'student', created_at: '' },
  access_token: `access-${n}`,
  refresh_token: `refresh-${n}`,
  expires_in: 300,
});

function setUp(responses: (() => Response | Promise<Response>)[], stored: string | null = 'refresh-0') {
  const box = { stored, now: 0, sent: [] as string[] };
  const doors: SessionDoors = {
    storage: {
      read: () => box.stored,
      write: (token) => {
        box.stored = token;
      },
      clear: () => {
        box.stored = null;
      },
    },
    fetch: vi.fn(async (_url, init) => {
      box.sent.push((JSON.parse(String(init?.body)) as { refresh_token: string }).refresh_token);
      const next = responses.shift();
      if (!next) throw new Error('unexpected request');
      return next();
    }) as unknown as typeof fetch,
    now: () => box.now,
    exclusive: (work) => work(),
  };
  return { session: new Session(doors), box };
}

const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });

describe('Session', () => {
  it('restores from the stored token and keeps the new one', async () => {
    const { session, box } = setUp([() => json(answer(1))]);
    await session.restore();
    expect(session.state().status).toBe('signed_in');
    expect(box.stored).toBe('refresh-1');
    expect(await session.token()).toBe('access-1');
    expect(box.sent).toEqual(['refresh-0']);
  });

  it('is signed out at once when nothing is stored', async () => {
    const { session, box } = setUp([], null);
    await session.restore();
    expect(session.state().status).toBe('signed_out');
    expect(await session.token()).toBeNull();
    expect(box.sent).toEqual([]);
  });

  it('follows another tab that signs in or out', async () => {
    const { session, box } = setUp([() => json(answer(8))], null);
    await session.restore();
    box.stored = 'refresh-7';
    session.storageChanged();
    await vi.waitFor(() => expect(session.state().status).toBe('signed_in'));
    expect(box.sent).toEqual(['refresh-7']);
    box.stored = null;
    session.storageChanged();
    expect(session.state().status).toBe('signed_out');
  });

  it('refreshes once for many askers', async () => {
    const { session, box } = setUp([() => json(answer(1)), () => json(answer(2))]);
    await session.restore();
    box.now = 290_000;
    const tokens = await Promise.all([session.token(), session.token(), session.renew('access-1')]);
    expect(tokens).toEqual(['access-2', 'access-2', 'access-2']);
    expect(box.sent).toEqual(['refresh-0', 'refresh-1']);
  });

  it('uses short-lived tokens for most of their life', async () => {
    const { session, box } = setUp([() => json({ ...answer(1), expires_in: 30 }), () => json(answer(2))]);
    await session.restore();
    box.now = 19_000;
    expect(await session.token()).toBe('access-1');
    box.now = 21_000;
    expect(await session.token()).toBe('access-2');
  });

  it('does not refresh again for a token that was already replaced', async () => {
    const { session, box } = setUp([() => json(answer(1))]);
    await session.restore();
    expect(await session.renew('access-0')).toBe('access-1');
    expect(box.sent).toHaveLength(1);
  });

  it('ends when the server refuses, stays when it cannot be reached', async () => {
    const refused = setUp([() => json({ code: 'refresh_reused' }, 401)]);
    await refused.session.restore();
    expect(refused.session.state().status).toBe('signed_out');
    expect(refused.box.stored).toBeNull();

    const offline = setUp([() => Promise.reject(new TypeError('offline')), () => json(answer(1))]);
    await offline.session.restore();
    expect(offline.session.state().status).toBe('unreachable');
    expect(offline.box.stored).toBe('refresh-0');
    await offline.session.restore();
    expect(offline.session.state().status).toBe('signed_in');
  });

  it('follows a sign-out in another tab', async () => {
    const { session, box } = setUp([() => json(answer(1))]);
    await session.restore();
    box.stored = null;
    session.storageChanged();
    expect(session.state().status).toBe('signed_out');
    expect(session.currentToken()).toBeNull();
  });
});

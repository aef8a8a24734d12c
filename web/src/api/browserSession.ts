// The session of this browser: the doors of `Session` onto real storage, network, clock and locks.

import { Session, type TokenStorage } from './session';

const STORAGE_NAME = 'lectern.refresh_token';

const storage: TokenStorage = {
  read: () => sessionStorage.getItem(STORAGE_NAME) ?? localStorage.getItem(STORAGE_NAME),
  write(token, lasting) {
    const forGood = lasting ?? sessionStorage.getItem(STORAGE_NAME) === null;
    (forGood ? sessionStorage : localStorage).removeItem(STORAGE_NAME);
    (forGood ? localStorage : sessionStorage).setItem(STORAGE_NAME, token);
  },
  clear() {
    sessionStorage.removeItem(STORAGE_NAME);
    localStorage.removeItem(STORAGE_NAME);
  },
};

export const session = new Session({
  storage,
  fetch: (input, init) => fetch(input, init),
  now: () => Date.now(),
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    // Locks exist in secure contexts only (https, localhost). Elsewhere two tabs could, rarely, collide.
    if (!('locks' in navigator)) return work();
    return (await navigator.locks.request('lectern.refresh', work)) as T;
  },
});

addEventListener('storage', (event) => {
  if (event.key === STORAGE_NAME || event.key === null) session.storageChanged();
});

// Where to go after signing in. Only pages of this application: never another site.

/** The query with which the sign-in and the register page lead back to where one is, or to where they lead already. */
export function returnSearch(pathname: string, search = ''): string {
  if (pathname === '/sign-in' || pathname === '/register') return search;
  return pathname === '/' ? '' : `?next=${encodeURIComponent(pathname + search)}`;
}

export const signInPath = (pathname: string, search = ''): string => `/sign-in${returnSearch(pathname, search)}`;

/** The path in `?next=`, or the catalogue when it is missing or leads elsewhere. */
export function returnPath(next: string | null): string {
  if (next === null || !next.startsWith('/')) return '/';
  try {
    const url = new URL(next, 'https://lectern.invalid');
    if (url.origin !== 'https://lectern.invalid') return '/';
    const path = url.pathname + url.search + url.hash;
    return path.startsWith('//') || path.startsWith('/sign-in') || path.startsWith('/register') ? '/' : path;
  } catch {
    return '/';
  }
}

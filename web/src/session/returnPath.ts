// Where to go after signing in. Only pages of this application: never another site.

export function signInPath(returnTo: string): string {
  return returnTo === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(returnTo)}`;
}

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

// What surrounds every page: skip link, header, the page itself, footer, toasts.

import { Outlet, ScrollRestoration, useNavigation } from 'react-router';
import { SessionGate } from '../session/SessionGate';
import { Toasts } from '../ui/Toasts';
import { Header } from './Header';

export function Shell() {
  const navigation = useNavigation();
  return (
    <>
      <a className="skip-link" href="#main">
        Skip to content
      </a>
      {navigation.state === 'loading' && <div className="loading-line" role="progressbar" aria-label="Loading page" />}
      <Header />
      <main id="main" tabIndex={-1}>
        <SessionGate>
          <Outlet />
        </SessionGate>
      </main>
      <footer className="footer">
        <p>Lectern: lectures that only enrolled learners can play.</p>
      </footer>
      <Toasts />
      <ScrollRestoration />
    </>
  );
}

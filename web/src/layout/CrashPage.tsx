// The application itself failed: most often a new version was installed while this one was open.

import { useRouteError } from 'react-router';

export function CrashPage() {
  const error = useRouteError();
  console.error(error);
  return (
    <main className="page page-narrow crash">
      <h1>This page could not be shown</h1>
      <p>A newer version of Lectern may have been installed, or the connection was lost. Loading the page again usually helps.</p>
      <p>
        <button type="button" className="button" onClick={() => location.reload()}>
          Load again
        </button>
      </p>
    </main>
  );
}

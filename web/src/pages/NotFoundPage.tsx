// An address that leads nowhere.

import { Link } from 'react-router';
import { EmptyState } from '../ui/EmptyState';
import { Page } from '../ui/Page';

export function NotFoundPage() {
  return (
    <Page title="Page not found" narrow>
      <EmptyState
        title="There is nothing at this address"
        message="The link may be old, or the course may not be published."
        icon="warning"
        action={
          <Link className="button" to="/">
            Go to the catalogue
          </Link>
        }
      />
    </Page>
  );
}

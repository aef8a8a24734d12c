// A page's frame: the document title, and the heading that takes the focus when a link led here.

import { useEffect, useRef, type ReactNode } from 'react';
import { useNavigationType } from 'react-router';

interface PageProps {
  /** Document title and, unless `heading` says otherwise, the heading. */
  title: string;
  heading?: ReactNode;
  /** Small line above the heading. */
  eyebrow?: ReactNode;
  /** Controls beside the heading. */
  actions?: ReactNode;
  narrow?: boolean;
  children: ReactNode;
}

let firstPage = true;

export function Page({ title, heading, eyebrow, actions, narrow, children }: PageProps) {
  const headingElement = useRef<HTMLHeadingElement>(null);
  const navigation = useNavigationType();

  useEffect(() => {
    document.title = title === 'Lectern' ? title : `${title} · Lectern`;
  }, [title]);

  useEffect(() => {
    // The browser itself handles the first page; a replaced address is the same page.
    if (!firstPage && navigation !== 'REPLACE') headingElement.current?.focus({ preventScroll: true });
    firstPage = false;
  }, [navigation]);

  return (
    <div className={narrow ? 'page page-narrow' : 'page'}>
      <header className="page-header">
        <div className="page-heading">
          {eyebrow && <p className="eyebrow">{eyebrow}</p>}
          <h1 tabIndex={-1} ref={headingElement}>
            {heading ?? title}
          </h1>
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

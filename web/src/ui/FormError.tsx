// What went wrong with a form as a whole; takes the focus so that nobody misses it.

import { useEffect, useRef } from 'react';

export function FormError({ message }: { message: string | null }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (message) box.current?.focus();
  }, [message]);
  if (!message) return null;
  return (
    <div className="notice notice-bad" role="alert" tabIndex={-1} ref={box}>
      {message}
    </div>
  );
}

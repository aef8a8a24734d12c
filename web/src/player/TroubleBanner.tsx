// "Connection lost", over the picture, counting down to the next attempt.

import { useEffect, useState } from 'react';
import type { Trouble } from './engine';

export function TroubleBanner({ trouble, onRetry }: { trouble: Trouble; onRetry: () => void }) {
  const [left, setLeft] = useState(Math.ceil(trouble.retryInMs / 1000));

  useEffect(() => {
    const until = Date.now() + trouble.retryInMs;
    const show = () => setLeft(Math.max(0, Math.ceil((until - Date.now()) / 1000)));
    show();
    const timer = setInterval(show, 500);
    return () => clearInterval(timer);
  }, [trouble]);

  return (
    <div className="player-trouble" data-testid="player-trouble">
      <span role="status">The connection is lost.</span>
      <span>{left > 0 ? `Trying again in ${left} s` : 'Trying again…'}</span>
      {left > 0 && (
        <button type="button" onClick={onRetry}>
          Try now
        </button>
      )}
    </div>
  );
}

// How far something is.

interface ProgressBarProps {
  label: string;
  /** 0 to 1; absent while unknown. */
  share?: number;
}

export function ProgressBar({ label, share }: ProgressBarProps) {
  const value = share === undefined ? undefined : Math.floor(Math.min(1, Math.max(0, share)) * 100);
  return (
    <div
      className={value === undefined ? 'bar bar-unknown' : 'bar'}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value}
    >
      <span className="bar-fill" style={value === undefined ? {} : { transform: `scaleX(${value / 100})` }} />
    </div>
  );
}

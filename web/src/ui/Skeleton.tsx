// Grey shapes where content is about to appear.

export function Skeleton({ kind }: { kind: 'line' | 'title' | 'card' | 'row' | 'player' }) {
  return <span className={`skeleton skeleton-${kind}`} aria-hidden="true" />;
}

export function PageSkeleton() {
  return (
    <div className="page" aria-busy="true" role="status">
      <span className="visually-hidden">Loading</span>
      <Skeleton kind="title" />
      <Skeleton kind="line" />
      <Skeleton kind="row" />
      <Skeleton kind="row" />
      <Skeleton kind="row" />
    </div>
  );
}

export function CardsSkeleton({ count = 6 }: { count?: number }) {
  return (
    <div className="course-grid" aria-busy="true" role="status">
      <span className="visually-hidden">Loading courses</span>
      {Array.from({ length: count }, (_, index) => (
        <Skeleton key={index} kind="card" />
      ))}
    </div>
  );
}

// A lectern, seen from the side.

export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" width="30" height="30" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <path d="M6 10.5 26 8v3.2L6 13.7zM10 15.4l12-1.5-2.2 5.6-7.6.9zM14.6 21.6h2.8V25h4v2h-10.8v-2h4z" />
    </svg>
  );
}

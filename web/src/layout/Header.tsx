// The header: where to go, uploads under way, who is signed in.

import { Link, NavLink, useLocation, useNavigate } from 'react-router';
import { signOut } from '../api/accounts';
import { returnSearch } from '../session/returnPath';
import { useSession } from '../session/useSession';
import { toast } from '../ui/toasts';
import { UploadsIndicator } from '../upload/UploadsIndicator';
import { Logo } from './Logo';

export function Header() {
  const { user, status } = useSession();
  const navigate = useNavigate();
  const location = useLocation();
  const search = returnSearch(location.pathname, location.search);

  const leave = async () => {
    const done = signOut();
    await navigate('/');
    await done;
    toast('You are signed out.');
  };

  return (
    <header className="header">
      <div className="header-inner">
        <Link to="/" className="brand" aria-label="Lectern, to the catalogue">
          <Logo />
          <span>Lectern</span>
        </Link>
        <nav className="nav" aria-label="Main">
          <NavLink to="/" end className="nav-link">
            Courses
          </NavLink>
          {user && user.role !== 'student' && (
            <NavLink to="/teach" className="nav-link" data-testid="nav-teach">
              My courses
            </NavLink>
          )}
          <UploadsIndicator />
        </nav>
        <div className="header-end">
          {user && (
            <>
              <span className="header-user" title={user.email} data-testid="current-user">
                <span className="visually-hidden">Signed in as </span>
                {user.name}
              </span>
              <button type="button" className="button button-quiet button-small" onClick={() => void leave()} data-testid="sign-out">
                Sign out
              </button>
            </>
          )}
          {!user && status === 'signed_out' && (
            <>
              <NavLink to={{ pathname: '/sign-in', search }} className="nav-link" data-testid="nav-sign-in">
                Sign in
              </NavLink>
              <Link to={{ pathname: '/register', search }} className="button button-small header-register" data-testid="nav-register">
                Register
              </Link>
            </>
          )}
        </div>
      </div>
    </header>
  );
}

// Sign in.

import { useState, type FormEvent } from 'react';
import { Link, Navigate, useSearchParams } from 'react-router';
import { signIn } from '../api/accounts';
import { messageFor } from '../api/problem';
import { returnPath } from '../session/returnPath';
import { useSession } from '../session/useSession';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';
import { Page } from '../ui/Page';

export function SignInPage() {
  const { user } = useSession();
  const [query] = useSearchParams();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [lasting, setLasting] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  if (user) return <Navigate to={returnPath(query.get('next'))} replace />;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await signIn(email.trim(), password, lasting);
    } catch (error) {
      setProblem(messageFor(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Page title="Sign in" narrow>
      <form className="panel form" onSubmit={(event) => void submit(event)} data-testid="sign-in-form">
        <FormError message={problem} />
        <Field
          label="Email"
          type="email"
          name="email"
          autoComplete="username"
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <Field
          label="Password"
          type="password"
          name="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <label className="check">
          <input type="checkbox" checked={lasting} onChange={(event) => setLasting(event.target.checked)} />
          Keep me signed in on this device
        </label>
        <button type="submit" className="button button-wide" disabled={busy} data-testid="submit">
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <p className="form-foot">
          No account yet? <Link to={{ pathname: '/register', search: query.toString() }}>Register</Link>
        </p>
      </form>
    </Page>
  );
}

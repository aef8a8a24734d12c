// Register, to learn or to teach.

import { useState, type FormEvent } from 'react';
import { Link, Navigate, useSearchParams } from 'react-router';
import { register, type Registration } from '../api/accounts';
import { messageFor } from '../api/problem';
import { returnPath } from '../session/returnPath';
import { useSession } from '../session/useSession';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';
import { Page } from '../ui/Page';

const roles: { value: Registration['role']; label: string; hint: string }[] = [
  { value: 'student', label: 'I learn', hint: 'Enroll in courses and play lessons' },
  { value: 'instructor', label: 'I teach', hint: 'Make courses and upload lessons' },
];

const MIN_PASSWORD = 10;

export function RegisterPage() {
  const { user } = useSession();
  const [query] = useSearchParams();
  const [form, setForm] = useState<Registration>({ name: '', email: '', password: '', role: 'student' });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  if (user) {
    const next = query.get('next');
    return <Navigate to={next === null && user.role !== 'student' ? '/teach' : returnPath(next)} replace />;
  }

  const change = (part: Partial<Registration>) => setForm((old) => ({ ...old, ...part }));

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await register({ ...form, name: form.name.trim(), email: form.email.trim() });
    } catch (error) {
      setProblem(messageFor(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Page title="Register" heading="Make an account" narrow>
      <form className="panel form" onSubmit={(event) => void submit(event)} data-testid="register-form">
        <FormError message={problem} />
        <fieldset className="choices">
          <legend className="field-label">What brings you here?</legend>
          {roles.map((role) => (
            <label key={role.value} className="choice">
              <input
                type="radio"
                name="role"
                value={role.value}
                aria-label={role.label}
                checked={form.role === role.value}
                onChange={() => change({ role: role.value })}
              />
              <span className="choice-label">{role.label}</span>
              <span className="choice-hint">{role.hint}</span>
            </label>
          ))}
        </fieldset>
        <Field
          label="Name"
          name="name"
          autoComplete="name"
          required
          maxLength={100}
          value={form.name}
          onChange={(event) => change({ name: event.target.value })}
        />
        <Field
          label="Email"
          type="email"
          name="email"
          autoComplete="username"
          required
          value={form.email}
          onChange={(event) => change({ email: event.target.value })}
        />
        <Field
          label="Password"
          type="password"
          name="password"
          autoComplete="new-password"
          required
          minLength={MIN_PASSWORD}
          hint={`At least ${MIN_PASSWORD} characters. A short sentence is good.`}
          value={form.password}
          onChange={(event) => change({ password: event.target.value })}
        />
        <button type="submit" className="button button-wide" disabled={busy} data-testid="submit">
          {busy ? 'Making your account…' : 'Make account'}
        </button>
        <p className="form-foot">
          Already registered? <Link to={{ pathname: '/sign-in', search: query.toString() }}>Sign in</Link>
        </p>
      </form>
    </Page>
  );
}

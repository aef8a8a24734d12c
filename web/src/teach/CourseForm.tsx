// What a course says about itself and what it costs.

import { useQueryClient } from '@tanstack/react-query';
import { useId, useState, type FormEvent } from 'react';
import { changeCourse } from '../api/courses';
import { ApiError, messageFor } from '../api/problem';
import { courseQuery } from '../api/queries';
import type { Course } from '../api/types';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';
import { fromMinor, toMinor } from '../ui/format';
import { toast } from '../ui/toasts';

const CURRENCIES = ['EUR', 'USD', 'GBP', 'CHF', 'JPY', 'INR', 'BRL', 'AUD', 'CAD'];

export function CourseForm({ course, etag }: { course: Course; etag: string | null }) {
  const queries = useQueryClient();
  const currencyId = useId();
  const [title, setTitle] = useState(course.title);
  const [description, setDescription] = useState(course.description ?? '');
  const [amount, setAmount] = useState(fromMinor(course.price));
  const [currency, setCurrency] = useState(course.price?.currency ?? 'EUR');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const minor = toMinor(amount, currency);
  const currencies = CURRENCIES.includes(currency) ? CURRENCIES : [currency, ...CURRENCIES];

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (minor === null) return;
    setBusy(true);
    setProblem(null);
    try {
      const change = { title: title.trim(), description: description.trim(), price: { amount_minor: minor, currency } };
      const changed = await changeCourse(course.id, change, etag);
      queries.setQueryData(courseQuery(course.id).queryKey, changed);
      void queries.invalidateQueries({ queryKey: ['courses'] });
      toast('Saved.');
    } catch (error) {
      setProblem(messageFor(error));
      // Fetch what the other change made, so that saving again is a choice made knowingly.
      if (error instanceof ApiError && error.status === 412) void queries.invalidateQueries({ queryKey: ['course', course.id] });
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="panel form" onSubmit={(event) => void submit(event)} data-testid="course-form">
      <FormError message={problem} />
      <Field label="Course title" name="title" required maxLength={200} value={title} onChange={(event) => setTitle(event.target.value)} />
      <Field
        label="Description"
        name="description"
        multiline
        rows={6}
        optional
        value={description}
        onChange={(event) => setDescription(event.target.value)}
      />
      <div className="field-pair">
        <Field
          label="Price"
          name="price"
          inputMode="decimal"
          optional
          placeholder="Free"
          value={amount}
          error={minor === null ? 'Write an amount, such as 25 or 12.50.' : null}
          onChange={(event) => setAmount(event.target.value)}
        />
        <div className="field">
          <label className="field-label" htmlFor={currencyId}>
            Currency
          </label>
          <select id={currencyId} className="field-control" value={currency} onChange={(event) => setCurrency(event.target.value)}>
            {currencies.map((code) => (
              <option key={code}>{code}</option>
            ))}
          </select>
        </div>
      </div>
      <div className="form-actions">
        <button type="submit" className="button" disabled={busy || minor === null} data-testid="save-course">
          {busy ? 'Saving…' : 'Save'}
        </button>
      </div>
    </form>
  );
}

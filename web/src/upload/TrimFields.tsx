// Two fields: where in the recording the lesson begins and where it ends.

import { Field } from '../ui/Field';
import type { PointTexts } from './trim';

interface TrimFieldsProps {
  points: PointTexts;
  onChange: (points: PointTexts) => void;
}

export function TrimFields({ points, onChange }: TrimFieldsProps) {
  return (
    <div className="trim-fields">
      <Field
        label="Begins at"
        optional
        placeholder="0:00"
        inputMode="text"
        value={points.begin}
        onChange={(event) => onChange({ ...points, begin: event.target.value })}
        data-testid="trim-begin"
      />
      <Field
        label="Ends at"
        optional
        placeholder="the end"
        inputMode="text"
        value={points.end}
        onChange={(event) => onChange({ ...points, end: event.target.value })}
        data-testid="trim-end"
      />
    </div>
  );
}

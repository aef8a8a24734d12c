// The player's keys, written down, and the switch that turns them off (WCAG 2.1.4).

const keys: [string, string][] = [
  ['Space or K', 'Play, pause'],
  ['← →', 'Back, forward 5 seconds'],
  ['J L', 'Back, forward 10 seconds'],
  ['↑ ↓', 'Volume'],
  ['0 to 9', 'Jump to a tenth of the lesson'],
  ['< >', 'Slower, faster'],
  ['M', 'Mute'],
  ['C', 'Captions'],
  ['F', 'Full screen'],
];

export function ShortcutList({ enabled, onChange }: { enabled: boolean; onChange: (enabled: boolean) => void }) {
  return (
    <details className="shortcuts">
      <summary>Keyboard shortcuts</summary>
      <label className="check">
        <input type="checkbox" checked={enabled} onChange={(event) => onChange(event.target.checked)} />
        Use keyboard shortcuts
      </label>
      <dl>
        {keys.map(([key, meaning]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

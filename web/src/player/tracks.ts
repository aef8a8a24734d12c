// The languages that a presentation offers, as entries of a menu.

export interface Track {
  name: string;
  /** BCP 47, when known. */
  language: string | undefined;
}

export interface TrackChoice {
  value: number;
  label: string;
}

/** A language by its own name: `de` → Deutsch. The tag itself where the browser knows none. */
export function languageName(tag: string): string {
  try {
    const name = new Intl.DisplayNames([tag], { type: 'language', fallback: 'none' }).of(tag);
    return name ? name.charAt(0).toLocaleUpperCase(tag) + name.slice(1) : tag;
  } catch {
    return tag;
  }
}

/** Menu entries: the name somebody gave, or that of the language where only its tag is there. Equal ones are numbered. */
export function trackChoices(tracks: readonly Track[]): TrackChoice[] {
  const labels = tracks.map(({ name, language }) =>
    language && (name === '' || name.toLowerCase() === language.toLowerCase()) ? languageName(language) : name,
  );
  return labels.map((label, value) => {
    const same = labels.slice(0, value).filter((other) => other === label).length;
    return { value, label: same > 0 ? `${label} ${same + 1}` : label };
  });
}

/** Where a wanted language is among the tracks: the same, else one of the same kind (`en` for `en-GB`); -1 when there is none. */
export function trackFor(tracks: readonly Track[], wanted: string | null): number {
  if (wanted === null) return -1;
  const primary = (tag: string | undefined) => tag?.split('-')[0]?.toLowerCase();
  const exact = tracks.findIndex((track) => track.language?.toLowerCase() === wanted.toLowerCase());
  return exact >= 0 ? exact : tracks.findIndex((track) => primary(track.language) === primary(wanted));
}

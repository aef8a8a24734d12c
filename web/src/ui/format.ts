// Numbers, times and prices as people read them.

import type { Price } from '../api/types';

/** `75_000` → `1:15`; hours only when there are any. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const seconds = String(total % 60).padStart(2, '0');
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${seconds}` : `${minutes}:${seconds}`;
}

/** `5_400_000` → `1 h 30 min`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** Decimal units: `1_500_000` → `1.5 MB`. */
export function fileSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${units[unit]}`;
}

export const percent = (share: number): string => `${Math.floor(Math.min(1, Math.max(0, share)) * 100)} %`;

function fractionDigits(currency: string): number {
  try {
    const format = new Intl.NumberFormat('en', { style: 'currency', currency });
    return format.resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

/** What a course costs; free when it costs nothing. */
export function priceLabel(price: Price | null): string {
  if (!price || price.amount_minor === 0) return 'Free';
  const value = price.amount_minor / 10 ** fractionDigits(price.currency);
  try {
    return new Intl.NumberFormat(undefined, { style: 'currency', currency: price.currency }).format(value);
  } catch {
    return `${value} ${price.currency}`;
  }
}

/** `12.5` in EUR → 1250; null when it is not an amount. */
export function toMinor(text: string, currency: string): number | null {
  const normal = text.trim().replace(',', '.');
  if (normal === '') return 0;
  if (!/^\d{1,7}(\.\d*)?$/.test(normal)) return null;
  return Math.round(Number(normal) * 10 ** fractionDigits(currency));
}

/** The amount as typed into a form. */
export function fromMinor(price: Price | null): string {
  if (!price || price.amount_minor === 0) return '';
  const digits = fractionDigits(price.currency);
  return (price.amount_minor / 10 ** digits).toFixed(digits);
}

export const countOf = (count: number, one: string, many: string = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

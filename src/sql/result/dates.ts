/**
 * Values of columns declared `timestamp`, `datetime` or `date`, as rqlite shows them: RFC 3339. Pure arithmetic on the proleptic
 * Gregorian calendar, because a pure room has no Date. Source of the day arithmetic: Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */

/** What rqlite shows for text that is no time: Go's zero time. */
const ZERO_TIME = "0001-01-01T00:00:00Z";
/** Larger magnitudes are milliseconds, smaller ones seconds. */
const SECONDS_MAX = 1_000_000_000_000n;
const SECONDS_PER_DAY = 86_400;

const PATTERN = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(\.\d+)?([+-]\d{2}:\d{2})?)?)?$/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** An integer of such a column, as RFC 3339 in UTC. */
export function dateOfInteger(value: bigint): string {
  const isMilliseconds = value > SECONDS_MAX || value < -SECONDS_MAX;
  const seconds = isMilliseconds ? floorDivide(value, 1000n) : value;
  const milliseconds = isMilliseconds ? Number(value - seconds * 1000n) : 0;
  const days = floorDivide(seconds, BigInt(SECONDS_PER_DAY));
  const second = Number(seconds - days * BigInt(SECONDS_PER_DAY));
  const date = civilOfDays(Number(days));
  if (date.year < 0 || date.year > 9999) return ZERO_TIME;
  const clock = `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`;
  const fraction = milliseconds === 0 ? "" : `.${String(milliseconds).padStart(3, "0")}`.replace(/0+$/, "");
  return `${String(date.year).padStart(4, "0")}-${two(date.month)}-${two(date.day)}T${clock}${fraction}Z`;
}

/** Text of such a column, as RFC 3339; the zero time if it is no time. */
export function dateOfText(text: string): string {
  const match = PATTERN.exec(text.endsWith("Z") ? text.slice(0, -1) : text);
  if (match === null) return ZERO_TIME;
  const [, year = "", month = "", day = "", hour = "00", minute = "00", second = "00", fraction = "", zone = ""] = match;
  if (!isDay(Number(year), Number(month), Number(day))) return ZERO_TIME;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return ZERO_TIME;
  const digits = fraction.slice(0, 10).replace(/\.?0*$/, "");
  const offset = zone === "" || zone === "+00:00" || zone === "-00:00" ? "Z" : zone;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${digits}${offset}`;
}

function isDay(year: number, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1) return false;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= (month === 2 && isLeap ? 29 : (DAYS[month - 1] as number));
}

function civilOfDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

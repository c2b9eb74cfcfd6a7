import { usePreferences } from "../lib/preferences.tsx";
import { fullTime, relativeDay, relativeTime, shortTime } from "../lib/time.ts";

/** Shorter times count as just now, in milliseconds. */
const JUST_NOW = 60_000;

/** A server time, relative to now; in full in the tooltip. Without a value: "never". */
export function Time({ value }: { value: string | null | undefined }) {
  const { language, t } = usePreferences();
  const time = Date.parse(value ?? "");
  if (Number.isNaN(time)) {
    return <span className="muted">{t("common.never")}</span>;
  }
  return (
    <time className="time" dateTime={new Date(time).toISOString()} title={fullTime(time, language)}>
      {Math.abs(Date.now() - time) < JUST_NOW
        ? t("common.justNow")
        : relativeTime(time, Date.now(), language)}
    </time>
  );
}

/** Since when something holds; without the word `since` where the sentence has another one. Nothing without a value. */
export function Since({ value, plain = false }: { value: string | null | undefined; plain?: boolean }) {
  const { language, t } = usePreferences();
  const time = Date.parse(value ?? "");
  if (Number.isNaN(time)) {
    return null;
  }
  const text = shortTime(time, Date.now(), language);
  return (
    <time className="since" dateTime={new Date(time).toISOString()} title={fullTime(time, language)}>
      {plain ? text : t("common.since", { time: text })}
    </time>
  );
}

/** A server time that is precise to the day only, such as the last use. */
export function Day({ value }: { value: string | null | undefined }) {
  const { language, t } = usePreferences();
  const time = Date.parse(value ?? "");
  if (Number.isNaN(time)) {
    return <span className="muted">{t("common.never")}</span>;
  }
  return (
    <time className="time" dateTime={new Date(time).toISOString().slice(0, 10)}>
      {relativeDay(time, Date.now(), language)}
    </time>
  );
}

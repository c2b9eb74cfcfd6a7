import { usePreferences } from "../lib/preferences.tsx";
import { fullTime, relativeDay, relativeTime } from "../lib/time.ts";

/** A server time as people say it, in full on pointing. Nothing: "never". */
export function Time({ value }: { value: string | null | undefined }) {
  const { language, t } = usePreferences();
  const time = Date.parse(value ?? "");
  if (Number.isNaN(time)) {
    return <span className="muted">{t("common.never")}</span>;
  }
  return (
    <time className="time" dateTime={new Date(time).toISOString()} title={fullTime(time, language)}>
      {relativeTime(time, Date.now(), language)}
    </time>
  );
}

/** The same for a time of which only the day is known, as of last use. */
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

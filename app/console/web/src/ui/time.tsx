import { usePreferences } from "../lib/preferences.tsx";
import { fullTime, relativeDay, relativeTime } from "../lib/time.ts";

/** What happened less than this ago happened just now, in milliseconds. */
const JUST_NOW = 60_000;

/** A server time as people say it, in full on pointing. Nothing: "never". */
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

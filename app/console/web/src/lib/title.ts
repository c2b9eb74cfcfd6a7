import { useEffect } from "react";
import { usePreferences } from "./preferences.tsx";

/** Sets the title of the page. */
export function useTitle(title: string): void {
  const { t } = usePreferences();
  useEffect(() => {
    document.title = `${title} · ${t("common.appName")}`;
  }, [title, t]);
}

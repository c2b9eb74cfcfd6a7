import { useEffect } from "react";
import { usePreferences } from "./preferences.tsx";

/** Names the page after what it shows. */
export function useTitle(title: string): void {
  const { t } = usePreferences();
  useEffect(() => {
    document.title = `${title} · ${t("common.appName")}`;
  }, [title, t]);
}

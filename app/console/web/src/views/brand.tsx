import { usePreferences } from "../lib/preferences.tsx";
import { Icon } from "../ui/icon.tsx";

/** Name and logo of the product. */
export function Brand() {
  const { t } = usePreferences();
  return (
    <span className="brand">
      <span className="brand__sign">
        <Icon name="link" />
      </span>
      {t("common.appName")}
    </span>
  );
}

import { useEffect, useState } from "react";
import { useOutage } from "../lib/outage.tsx";
import { usePreferences } from "../lib/preferences.tsx";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";

/** Reports that the server does not respond, and when it is tried again. */
export function OutageBanner() {
  const { t } = usePreferences();
  const { isDown, retryAt, retry } = useOutage();
  return (
    <div role="status" className="banner-region">
      {isDown && (
        <div className="banner">
          <Icon name="warning" />
          <p>
            {t("outage.text")} <Countdown until={retryAt} />
          </p>
          <Button busy={retryAt === null} onClick={retry}>
            {t("outage.retry")}
          </Button>
        </div>
      )}
    </div>
  );
}

/** Not read out: it changes every second. */
function Countdown({ until }: { until: number | null }) {
  const { t } = usePreferences();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span aria-hidden="true" className="banner__countdown">
      {until === null
        ? t("outage.trying")
        : t("outage.next", { seconds: Math.max(1, Math.ceil((until - now) / 1000)) })}
    </span>
  );
}

import { useEffect, useState } from "react";
import { usePreferences } from "../lib/preferences.tsx";
import type { ToastKind } from "../lib/toasts.tsx";
import { IconButton } from "./button.tsx";
import { Icon } from "./icon.tsx";

/** How long each kind stays, in milliseconds. */
const LIFE: Record<ToastKind, number> = { success: 6000, error: 15_000 };

/** One notice. It stays as long as it is pointed at or holds the focus. */
export function Toast({ kind, text, onDismiss }: { kind: ToastKind; text: string; onDismiss: () => void }) {
  const { t } = usePreferences();
  const [held, setHeld] = useState(false);

  useEffect(() => {
    if (held) {
      return;
    }
    const timer = setTimeout(onDismiss, LIFE[kind]);
    return () => clearTimeout(timer);
  }, [held, kind, onDismiss]);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: pointing at it only keeps it there
    <div
      className={`toast toast--${kind}`}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <Icon name={kind === "success" ? "checkCircle" : "errorCircle"} />
      <p>{text}</p>
      <IconButton icon="close" label={t("common.dismiss")} onClick={onDismiss} />
    </div>
  );
}

import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { holdNavigation } from "../../lib/location.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";

/** Result of {@link useDiscardGuard}. */
export interface DiscardGuard {
  /** To call when the user enters something. */
  changed: () => void;
  /** To call when the entries were sent or are gone. */
  clean: () => void;
  /** Runs the action that drops the entries: at once without any, else after the user agrees. */
  leave: (action: () => void) => void;
  /** The question, to render beside the form. */
  question: ReactNode;
}

/** Keeps a form that is filled in from being dropped without a question: by its buttons, by navigation, by closing the page. */
export function useDiscardGuard(): DiscardGuard {
  const { t } = usePreferences();
  const [isDirty, setDirty] = useState(false);
  const [pending, setPending] = useState<{ action: () => void } | null>(null);
  const release = useRef(() => {});

  useEffect(() => {
    if (!isDirty) {
      return;
    }
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    const end = holdNavigation((proceed) => setPending({ action: proceed }));
    release.current = end;
    return () => {
      window.removeEventListener("beforeunload", ask);
      end();
    };
  }, [isDirty]);

  // At once, so that the caller can navigate before the next effect.
  const clean = useCallback(() => {
    release.current();
    setDirty(false);
  }, []);

  const leave = (action: () => void) => {
    if (isDirty) {
      setPending({ action });
    } else {
      action();
    }
  };
  return {
    changed: useCallback(() => setDirty(true), []),
    clean,
    leave,
    question: pending && (
      <ConfirmDialog
        title={t("form.discardTitle")}
        submit={t("form.discard")}
        cancel={t("form.keep")}
        onConfirm={() => {
          clean();
          pending.action();
        }}
        onClose={() => setPending(null)}
      >
        <p>{t("form.discardText")}</p>
      </ConfirmDialog>
    ),
  };
}

import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { IconButton } from "./button.tsx";

/** Props of {@link Dialog}. */
export interface DialogProps {
  title: string;
  /** Called when it wants to close: button, escape key, or a click beside it. */
  onClose: () => void;
  size?: "small" | "large";
  /** Not to be closed by a stray click, because something would be lost. */
  keepsWork?: boolean;
  children: ReactNode;
}

/** A modal dialog. It is open as long as it is rendered; the browser keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, size = "small", keepsWork = false, children }: DialogProps) {
  const { t } = usePreferences();
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  // Before the paint, and closed before it is taken out: only so the browser gives the focus back to where it was.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the escape key closes it, by the browser's own doing
    <dialog
      ref={ref}
      className={`dialog dialog--${size}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget && !keepsWork) {
          onClose();
        }
      }}
    >
      <div className="dialog__box">
        <header className="dialog__head">
          <h2 id={titleId}>{title}</h2>
          <IconButton icon="close" label={t("common.close")} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** What a dialog says. */
export function DialogBody({ children }: { children: ReactNode }) {
  return <div className="dialog__body">{children}</div>;
}

/** The buttons of a dialog, the one to press last. */
export function DialogActions({ children }: { children: ReactNode }) {
  return <footer className="dialog__actions">{children}</footer>;
}

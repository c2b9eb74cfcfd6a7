import {
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { IconButton } from "./button.tsx";

/** Props of {@link Dialog}. */
export interface DialogProps {
  title: string;
  /** Called by the close button, the escape key, or a click outside. */
  onClose: () => void;
  size?: "small" | "large";
  /** A click outside does not close it, because input would be lost. */
  keepsWork?: boolean;
  children: ReactNode;
}

/** A modal dialog. It is open while it is rendered; the browser keeps the focus inside and restores it afterwards. */
export function Dialog({ title, onClose, size = "small", keepsWork = false, children }: DialogProps) {
  const { t } = usePreferences();
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  // Opened before the paint and closed before it is removed: otherwise the browser does not restore the focus.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);

  const closeOnEscape = (event: KeyboardEvent) => {
    if (event.key === "Escape" && !event.nativeEvent.isComposing) {
      // Without this a browser closes the dialog at the second press, also where the page keeps it open.
      event.preventDefault();
      event.stopPropagation();
      onClose();
    }
  };

  return (
    <dialog
      ref={ref}
      className={`dialog dialog--${size}`}
      aria-labelledby={titleId}
      data-keeps-focus=""
      onKeyDown={closeOnEscape}
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

/** The content of a dialog. If it has to be scrolled, it can be focused, so that the keyboard scrolls it. */
export function DialogBody({ children }: { children: ReactNode }) {
  const body = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const element = body.current;
    if (!element || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => setScrolls(element.scrollHeight > element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return (
    <div className="dialog__body" ref={body} tabIndex={scrolls ? 0 : undefined}>
      {children}
    </div>
  );
}

/** The buttons of a dialog, the main one last; or stacked, for long texts, the main one first. */
export function DialogActions({ stacked = false, children }: { stacked?: boolean; children: ReactNode }) {
  const modifier = stacked ? " dialog__actions--stacked" : "";
  return <footer className={`dialog__actions${modifier}`}>{children}</footer>;
}

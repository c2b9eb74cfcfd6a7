import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from "react";
import { Toast } from "../ui/toast.tsx";
import { usePreferences } from "./preferences.tsx";

/** What a toast tells of. */
export type ToastKind = "success" | "error";

interface Shown {
  id: number;
  kind: ToastKind;
  text: string;
}

type Show = (kind: ToastKind, text: string) => void;

const ToastContext = createContext<Show>(() => {});

/** The newest few are enough. */
const MOST = 4;

/** Shows short notices of what has happened, read out politely. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const { t } = usePreferences();
  const [toasts, setToasts] = useState<Shown[]>([]);
  const serial = useRef(0);

  const show = useCallback<Show>((kind, text) => {
    serial.current += 1;
    const toast = { id: serial.current, kind, text };
    setToasts((now) => [...now.slice(1 - MOST), toast]);
  }, []);
  const dismiss = useCallback((id: number) => setToasts((now) => now.filter((toast) => toast.id !== id)), []);

  return (
    <ToastContext value={show}>
      {children}
      <section className="toasts" aria-label={t("toast.region")}>
        <div role="status" className="toasts__list">
          {useMemo(
            () =>
              toasts.map(({ id, kind, text }) => (
                <Toast key={id} kind={kind} text={text} onDismiss={() => dismiss(id)} />
              )),
            [toasts, dismiss],
          )}
        </div>
      </section>
    </ToastContext>
  );
}

/** Shows a notice. */
export function useToast(): Show {
  return useContext(ToastContext);
}

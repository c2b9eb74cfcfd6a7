import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { IconButton } from "./button.tsx";
import { Icon } from "./icon.tsx";

type ToastKind = "success" | "error";

interface Shown {
  id: number;
  kind: ToastKind;
  text: string;
  about: string | undefined;
}

/** Shows a notice. One about the same thing (`about`) replaces the one before. */
type Show = (kind: ToastKind, text: string, about?: string) => void;

const ToastContext = createContext<Show>(() => {});

/** Most toasts that are shown at once; the oldest is removed. */
const LIMIT = 4;

/** Lifetime of each kind, in milliseconds. */
const LIFETIME: Record<ToastKind, number> = { success: 6000, error: 15_000 };

/** Shows short notices of results, announced politely to screen readers. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const { t } = usePreferences();
  const [toasts, setToasts] = useState<Shown[]>([]);
  const serial = useRef(0);

  const show = useCallback<Show>((kind, text, about) => {
    serial.current += 1;
    const toast = { id: serial.current, kind, text, about };
    setToasts((now) => {
      const others = now.filter((one) => about === undefined || one.about !== about);
      return [...others.slice(1 - LIMIT), toast];
    });
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

/** One notice. It stays while the pointer or the focus is on it. */
function Toast({ kind, text, onDismiss }: { kind: ToastKind; text: string; onDismiss: () => void }) {
  const { t } = usePreferences();
  const [held, setHeld] = useState(false);

  useEffect(() => {
    if (held) {
      return;
    }
    const timer = setTimeout(onDismiss, LIFETIME[kind]);
    return () => clearTimeout(timer);
  }, [held, kind, onDismiss]);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the pointer only keeps the notice open
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

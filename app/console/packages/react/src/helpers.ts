import { useEffect, useRef, useState } from "react";

/** A reference to the newest value, for callbacks that must not restart an effect. */
export function useLatest<T>(value: T): { readonly current: T } {
  const box = useRef(value);
  useEffect(() => {
    box.current = value;
  });
  return box;
}

/** Whether a query or a mutation has no result yet. TanStack Query 4 and 5 have different names for this status. */
export function isRunning(status: string): boolean {
  return status === "pending" || status === "loading";
}

/** Whole seconds until the deadline (milliseconds, clock of `Date.now()`), counting down; null without a deadline. */
export function useSecondsLeft(deadline: number | undefined): number | null {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (deadline === undefined) {
      return;
    }
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [deadline]);
  return deadline === undefined ? null : Math.max(0, Math.ceil((deadline - now) / 1000));
}

import { useEffect, useRef } from "react";

/** A box that always holds the newest value, for callbacks that must not restart an effect. */
export function useLatest<T>(value: T): { readonly current: T } {
  const box = useRef(value);
  useEffect(() => {
    box.current = value;
  });
  return box;
}

import type { ReactNode } from "react";
import { Icon } from "./icon.tsx";

/** A prominent sentence. */
export function Notice({ kind, children }: { kind: "error" | "warning"; children: ReactNode }) {
  return (
    <div className={`notice notice--${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Icon name={kind === "error" ? "errorCircle" : "warning"} />
      <p>{children}</p>
    </div>
  );
}

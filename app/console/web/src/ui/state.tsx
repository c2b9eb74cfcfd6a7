import type { ReactNode } from "react";
import { Icon, type IconName } from "./icon.tsx";

/** Replaces content that is absent: an empty list, no match, a failure. */
export function EmptyState({
  icon,
  title,
  text,
  children,
}: {
  icon: IconName;
  title: string;
  text: string;
  children?: ReactNode;
}) {
  return (
    <div className="empty">
      <span className="empty__icon">
        <Icon name={icon} />
      </span>
      <h2>{title}</h2>
      <p>{text}</p>
      {children && <div className="empty__actions">{children}</div>}
    </div>
  );
}

/** Grey bars in place of rows that are being loaded. */
export function SkeletonRows({ label }: { label: string }) {
  return (
    <div className="skeletons" role="status" aria-label={label}>
      {[0, 1, 2, 3].map((row) => (
        <div key={row} className="skeleton" />
      ))}
    </div>
  );
}

import type { ComponentProps, ReactNode } from "react";
import { Icon, type IconName } from "./icon.tsx";

/** Props of {@link Button}. */
export interface ButtonProps extends Omit<ComponentProps<"button">, "className"> {
  kind?: "primary" | "plain" | "quiet" | "danger";
  icon?: IconName;
  /** Shows progress; the button does nothing meanwhile, and keeps the focus. */
  busy?: boolean;
  children: ReactNode;
}

/** A button. Its kind sets its prominence. */
export function Button({ kind = "plain", icon, busy = false, onClick, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button--${kind}`}
      aria-busy={busy}
      aria-disabled={busy || undefined}
      onClick={(event) => (busy ? event.preventDefault() : onClick?.(event))}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : icon && <Icon name={icon} />}
      <span>{children}</span>
    </button>
  );
}

/** A button with an icon only; the label is for screen readers. */
export function IconButton({
  icon,
  label,
  ...rest
}: Omit<ComponentProps<"button">, "className" | "children"> & { icon: IconName; label: string }) {
  return (
    <button type="button" {...rest} className="icon-button" aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}

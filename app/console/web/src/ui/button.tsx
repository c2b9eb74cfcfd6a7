import type { ComponentProps, ReactNode } from "react";
import { Icon, type IconName } from "./icon.tsx";

/** Props of {@link Button}. */
export interface ButtonProps extends Omit<ComponentProps<"button">, "className"> {
  kind?: "primary" | "plain" | "quiet" | "danger";
  icon?: IconName;
  /** Shows progress, and disables the button. */
  busy?: boolean;
  children: ReactNode;
}

/** A button. Its kind sets its prominence. */
export function Button({ kind = "plain", icon, busy = false, disabled, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button--${kind}`}
      disabled={disabled || busy}
      aria-busy={busy}
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

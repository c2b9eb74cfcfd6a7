import { type ReactNode, type ToggleEvent, useId, useRef } from "react";

/** Props of {@link Menu}. */
export interface MenuProps {
  /** Renders the button, which must have the given props. */
  button: (props: { popoverTarget: string }) => ReactNode;
  label: string;
  children: ReactNode;
}

/** A button with a panel (popover). The browser closes it with the escape key or a click elsewhere. */
export function Menu({ button, label, children }: MenuProps) {
  const id = useId();
  const anchor = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);

  return (
    <div className="menu" ref={anchor}>
      {button({ popoverTarget: id })}
      {/* biome-ignore lint/a11y/useSemanticElements: a group of buttons, not of form fields */}
      <div
        id={id}
        ref={panel}
        popover="auto"
        role="group"
        aria-label={label}
        className="menu__panel"
        onToggle={(event: ToggleEvent) => {
          if (event.newState === "open" && anchor.current && panel.current) {
            placeBelow(panel.current, anchor.current);
          }
        }}
      >
        {children}
      </div>
    </div>
  );
}

/** An entry of a menu. */
export function MenuItem({
  onSelect,
  danger = false,
  children,
}: {
  onSelect: () => void;
  danger?: boolean;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      className={danger ? "menu__item menu__item--danger" : "menu__item"}
      onClick={(event) => {
        closeMenuOf(event.currentTarget);
        onSelect();
      }}
    >
      {children}
    </button>
  );
}

/** Closes the menu that contains the element. */
export function closeMenuOf(element: Element): void {
  element.closest<HTMLElement>("[popover]")?.hidePopover();
}

/** Places the panel under its button, inside the window, aligned at the right edge. */
function placeBelow(panel: HTMLElement, anchor: HTMLElement): void {
  const margin = 8;
  const from = anchor.getBoundingClientRect();
  const size = panel.getBoundingClientRect();
  const left = Math.max(margin, Math.min(from.right - size.width, window.innerWidth - size.width - margin));
  const fitsBelow = from.bottom + 4 + size.height + margin <= window.innerHeight;
  const top = fitsBelow ? from.bottom + 4 : Math.max(margin, from.top - 4 - size.height);
  panel.style.left = `${left}px`;
  panel.style.top = `${top}px`;
}

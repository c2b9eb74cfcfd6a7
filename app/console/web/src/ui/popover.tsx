import { type ReactNode, type ToggleEvent, useId, useRef } from "react";

/** Props of {@link Popover}. */
export interface PopoverProps {
  /** Renders the button, which must have the given props. */
  button: (props: { popoverTarget: string }) => ReactNode;
  label: string;
  children: ReactNode;
}

/** A button with a panel of controls. The browser closes it with the escape key or a click elsewhere. */
export function Popover({ button, label, children }: PopoverProps) {
  const id = useId();
  const anchor = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);

  return (
    <div className="menu" ref={anchor}>
      {button({ popoverTarget: id })}
      {/* biome-ignore lint/a11y/useSemanticElements: a group of controls that is not a part of a form */}
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

/** Closes the popover that contains the element, and gives the focus back to its button. */
export function closePopoverOf(element: Element): void {
  const panel = element.closest<HTMLElement>("[popover]");
  panel?.hidePopover();
  document.querySelector<HTMLElement>(`[popovertarget="${panel?.id}"]`)?.focus();
}

/** Places the panel under its button, inside the window, aligned at the right edge. */
export function placeBelow(panel: HTMLElement, anchor: HTMLElement): void {
  const margin = 8;
  const from = anchor.getBoundingClientRect();
  const size = panel.getBoundingClientRect();
  const left = Math.max(margin, Math.min(from.right - size.width, window.innerWidth - size.width - margin));
  const fitsBelow = from.bottom + 4 + size.height + margin <= window.innerHeight;
  const top = fitsBelow ? from.bottom + 4 : Math.max(margin, from.top - 4 - size.height);
  panel.style.left = `${left}px`;
  panel.style.top = `${top}px`;
}

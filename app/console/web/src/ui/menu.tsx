import { type KeyboardEvent, type ReactNode, type ToggleEvent, useId, useRef, useState } from "react";
import { closePopoverOf, placeBelow } from "./popover.tsx";

/** The attributes of the button of a menu. */
export interface MenuButtonProps {
  popoverTarget: string;
  "aria-haspopup": "menu";
  "aria-expanded": boolean;
  onKeyDown: (event: KeyboardEvent) => void;
}

/** Props of {@link Menu}. */
export interface MenuProps {
  /** Renders the button, which must have the given props. */
  button: (props: MenuButtonProps) => ReactNode;
  label: string;
  children: ReactNode;
}

/** Letters that are typed within this time are one word, in milliseconds. */
const TYPE_AHEAD = 500;

/**
 * A button with a menu, after the pattern of the ARIA Authoring Practices: arrow keys, Home, End and letters move among the
 * entries, Escape and Tab close the menu.
 */
export function Menu({ button, label, children }: MenuProps) {
  const id = useId();
  const anchor = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const first = useRef<"first" | "last">("first");
  const typed = useRef({ text: "", at: 0 });
  const [isOpen, setOpen] = useState(false);

  const items = () => [...(panel.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];

  const openFromKeyboard = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      first.current = event.key === "ArrowUp" ? "last" : "first";
      panel.current?.showPopover();
    }
  };

  const move = (event: KeyboardEvent) => {
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = (index: number) => {
      event.preventDefault();
      all.at(index % all.length)?.focus();
    };
    switch (event.key) {
      case "ArrowDown":
        to(at + 1);
        break;
      case "ArrowUp":
        to(at < 0 ? -1 : at - 1);
        break;
      case "Home":
        to(0);
        break;
      case "End":
        to(-1);
        break;
      case "Escape":
        event.preventDefault();
        event.stopPropagation();
        closePopoverOf(event.currentTarget);
        break;
      case "Tab":
        closePopoverOf(event.currentTarget);
        break;
      default:
        if (
          event.key.length === 1 &&
          event.key !== " " &&
          !event.ctrlKey &&
          !event.metaKey &&
          !event.altKey
        ) {
          const found = matchOf(all, at, typeAhead(typed.current, event.key));
          if (found >= 0) {
            to(found);
          }
        }
    }
  };

  return (
    <div className="menu" ref={anchor}>
      {button({
        popoverTarget: id,
        "aria-haspopup": "menu",
        "aria-expanded": isOpen,
        onKeyDown: openFromKeyboard,
      })}
      <div
        id={id}
        ref={panel}
        popover="auto"
        role="menu"
        tabIndex={-1}
        aria-label={label}
        className="menu__panel"
        onKeyDown={move}
        onToggle={(event: ToggleEvent) => {
          setOpen(event.newState === "open");
          if (event.newState === "open" && anchor.current && panel.current) {
            placeBelow(panel.current, anchor.current);
            items()
              .at(first.current === "last" ? -1 : 0)
              ?.focus();
            first.current = "first";
          }
        }}
      >
        {children}
      </div>
    </div>
  );
}

/** The letters typed so far, with this one. */
function typeAhead(typed: { text: string; at: number }, key: string): string {
  const now = Date.now();
  typed.text = (now - typed.at < TYPE_AHEAD ? typed.text : "") + key.toLowerCase();
  typed.at = now;
  return typed.text;
}

/** The next entry that begins with the text. A repeated letter moves on. */
function matchOf(items: readonly HTMLElement[], at: number, text: string): number {
  const isRepeated = [...text].every((letter) => letter === text[0]);
  const prefix = isRepeated ? text.slice(0, 1) : text;
  const from = isRepeated ? at + 1 : Math.max(at, 0);
  const order = items.map((_, index) => (from + index) % items.length);
  return order.find((index) => items[index]?.textContent?.trim().toLowerCase().startsWith(prefix)) ?? -1;
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
      role="menuitem"
      tabIndex={-1}
      className={danger ? "menu__item menu__item--danger" : "menu__item"}
      onClick={(event) => {
        // The focus returns to the button first, so that a dialog gives it back to the button.
        closePopoverOf(event.currentTarget);
        onSelect();
      }}
    >
      {children}
    </button>
  );
}

import type { ConnectorType } from "@grantry/client";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { Icon } from "../../ui/icon.tsx";
import { ProviderLogo } from "../../ui/provider-logo.tsx";

/** The profile without a provider: every endpoint is entered. */
const BY_HAND = ".oauth2";

/**
 * Selects the provider profile of a new connector. Every card is a button; arrow keys, Home and End also move between the cards,
 * and Enter in the search picks the first one. `focused` gets the focus: the profile that was picked before.
 */
export function TypePicker({
  types,
  focused,
  onPick,
}: {
  types: readonly ConnectorType[];
  focused: string | null;
  onPick: (type: ConnectorType) => void;
}) {
  const { t, language } = usePreferences();
  const [search, setSearch] = useState("");
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const card = [...cardsOf(box.current)].find((one) => one.value === focused);
    (card ?? box.current?.querySelector("input"))?.focus();
  }, [focused]);

  const byHand = types.find(({ id }) => id === BY_HAND);
  const providers = types
    .filter((type) => type.id !== BY_HAND && matches(type, search))
    .sort((one, other) => one.name.localeCompare(other.name, language));
  const isSearching = search.trim() !== "";

  const searched = (event: KeyboardEvent) => {
    const [first] = cardsOf(box.current);
    if (event.key === "ArrowDown") {
      event.preventDefault();
      first?.focus();
    } else if (event.key === "Enter" && isSearching && providers[0]) {
      event.preventDefault();
      onPick(providers[0]);
    }
  };
  const card = (type: ConnectorType) => (
    <button type="button" value={type.id} className="type-card" onClick={() => onPick(type)}>
      <ProviderLogo name={type.name} icon={type.setup?.icon} profile={type.id} />
      <span className="type-card__text">
        <span>{type.name}</span>
        <span className="small muted">
          {type.id === BY_HAND ? t("editor.byHand") : type.id.replace(/^\./, "")}
        </span>
      </span>
    </button>
  );
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys move between the buttons inside.
    <div ref={box} className="type-picker" onKeyDown={moveBetweenCards}>
      <div className="search">
        <Icon name="search" />
        <input
          type="search"
          aria-label={t("editor.searchTypes")}
          placeholder={t("editor.searchTypes")}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          onKeyDown={searched}
        />
      </div>
      <p className="small muted" role="status">
        {isSearching &&
          (providers.length > 0 ? t("editor.typesFound", { count: providers.length }) : t("editor.noTypes"))}
      </p>
      {providers.length > 0 && (
        <ul className="type-grid" aria-label={t("editor.providers")}>
          {providers.map((type) => (
            <li key={type.id}>{card(type)}</li>
          ))}
        </ul>
      )}
      {byHand && (
        <section className="type-picker__other" aria-label={t("editor.otherProvider")}>
          <h2>{t("editor.otherProvider")}</h2>
          {card(byHand)}
        </section>
      )}
    </div>
  );
}

function matches({ name, id }: ConnectorType, search: string): boolean {
  return `${name} ${id}`.toLowerCase().includes(search.trim().toLowerCase());
}

function cardsOf(box: Element | null): NodeListOf<HTMLButtonElement> | [] {
  return box?.querySelectorAll<HTMLButtonElement>(".type-card") ?? [];
}

/** Moves the focus by one card, or by one row of cards. */
function moveBetweenCards(event: KeyboardEvent<HTMLDivElement>): void {
  const cards = [...cardsOf(event.currentTarget)];
  const at = cards.indexOf(event.target as HTMLButtonElement);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  const row = columnsOf(cards);
  const targets: Record<string, number> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - row,
    ArrowDown: at + row,
    Home: 0,
    End: cards.length - 1,
  };
  const target = targets[event.key];
  if (target === undefined) {
    return;
  }
  event.preventDefault();
  if (target < 0 && event.key === "ArrowUp") {
    event.currentTarget.querySelector("input")?.focus();
  } else {
    cards[Math.min(Math.max(target, 0), cards.length - 1)]?.focus();
  }
}

/** How many cards are beside each other. */
function columnsOf(cards: readonly HTMLElement[]): number {
  const [first] = cards;
  const inRow = cards.filter(({ offsetTop }) => offsetTop === first?.offsetTop).length;
  return inRow === cards.length ? 1 : inRow;
}

import type { ReactNode } from "react";

/** Names and values, one pair per line. Pairs without a value are omitted. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
        .map(([name, value]) => (
          <div key={name} className="facts__row">
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A row of short technical terms. */
export function Chips({ values }: { values: readonly string[] }) {
  return (
    <span className="chips">
      {values.map((value) => (
        <code key={value} className="chip">
          {value}
        </code>
      ))}
    </span>
  );
}

/** A coloured tile with the first letter of a name: a picture without a remote request. */
export function Monogram({ name }: { name: string }) {
  const letter = [...name.trim()][0]?.toUpperCase() ?? "?";
  let hash = 0;
  for (const character of name) {
    hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 997;
  }
  return (
    <span className={`monogram monogram--${hash % 6}`} aria-hidden="true">
      {letter}
    </span>
  );
}

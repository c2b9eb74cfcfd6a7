/**
 * Returns a space or an id that is one segment of a path. Throws a `TypeError` for `""`, `.` and `..`, which would change the
 * target of the request and cannot be encoded (WHATWG URL, double-dot path segment); `name` is the argument that contains it.
 */
export function segment(value: string, name: string): string {
  if (value === "" || value === "." || value === "..") {
    throw new TypeError(`${name}: is empty, "." or ".."`);
  }
  return value;
}

/** Checks a space like {@link segment}, if there is one. */
export function checkedSpace(space: string | undefined): string | undefined {
  return space === undefined ? undefined : segment(space, "space");
}

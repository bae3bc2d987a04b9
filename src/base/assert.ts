/** Assertions are always on: a programmer's error stops the program where it is seen, not where it hurts. */

/** Thrown by `assert` and `unreachable`: a broken invariant, never the caller's input or the world's fault. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws unless `condition` holds. The message is constant, so that it can be searched for. @throws AssertionError */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Ends an exhaustive `switch`: a value that reaches it is a case that nobody wrote. @throws AssertionError */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value=${String(value)}`);
}

/** An object literal with members that may be undefined where `T` has optional ones: JSON leaves them out. */
export function compact<T extends object>(loose: {
  [K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K];
}): T {
  return loose as T;
}

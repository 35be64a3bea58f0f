import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';

/** A question that a person asked: its answer, or what is wrong with it. */
export type Answer<T> = Result<T, readonly Diagnostic[]>;

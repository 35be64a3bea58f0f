import type { Lifter, LifterTable } from './table';

/** Lifters of the system instructions. */
export const SYSTEM_LIFTERS: LifterTable = new Map<number, Lifter>();

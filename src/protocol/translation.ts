/**
 * The chain of an address as `pagewalk translate --json` prints it and the Translation view draws it
 * (src/model/translation.ts). All addresses and entries are lower-case hex strings with 0x.
 */
import type * as model from '../model/translation';
import type { Hex } from '../model/value';

export type { Hex } from '../model/value';
export type { Rights, WalkMode, Walker } from '../model/translation';
export type WalkStep = model.WalkStep<Hex>;
export type WalkStage = model.WalkStage<Hex>;
export type MemslotStage = model.MemslotStage<Hex>;
export type Stage = model.Stage<Hex>;
export type Translation = model.Translation<Hex>;
export type ReverseTranslation = model.ReverseTranslation<Hex>;

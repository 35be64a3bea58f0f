/**
 * The only table of devices, in listing order. Options, launch schema, checks, Steps and snapshots are derived from
 * it; what a PC usually has at unassigned addresses is another table (bus/usual-devices.ts).
 */
import type { DeviceSpec } from '../bus/device';
import { DEBUGCON } from './debugcon';
import { EXIT_PORT } from './exit-port';
import { PC_TESTDEV } from './pc-testdev';
import { POST } from './post';
import { SERIAL } from './serial16550';

const TABLE = [SERIAL, POST, DEBUGCON, EXIT_PORT, PC_TESTDEV] as const;

export const DEVICES: readonly DeviceSpec[] = TABLE;
/** Devices that every machine has. */
export const USUAL_DEVICES = DEVICES.filter((d) => d.onRequest === undefined);

/** Names of devices that output bytes. */
export type OutputChannel = Extract<(typeof TABLE)[number], { readonly output: string }>['name'];

/** The devices that every machine has, and those requested by `names`. */
export const devicesWith = (names: readonly string[]): readonly DeviceSpec[] =>
  DEVICES.filter((d) => d.onRequest === undefined || names.includes(d.name));

/**
 * The one table of devices. Options, launch schema, checks, Steps and snapshots take them from here; what usually lives at an address where nobody answers is another
 * table (bus/usual-devices.ts). In the order in which they are listed.
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

/** Names of devices that put out bytes. */
export type OutputChannel = Extract<(typeof TABLE)[number], { readonly output: string }>['name'];

/** What every machine has, and those that `names` ask for. */
export const devicesWith = (names: readonly string[]): readonly DeviceSpec[] =>
  DEVICES.filter((d) => d.onRequest === undefined || names.includes(d.name));

import type { Actor } from '../../trace/step';

/** Actors that can spend cycles, in the order of the timeline's lanes and of every array by actor. */
export const LANES = ['guest', 'cpu', 'kvm', 'host', 'vmm'] as const satisfies readonly Actor[];
export const LANE_COUNT = LANES.length;

/** The lane of an actor: an index into LANES. */
export const LANE: Readonly<Record<Actor, number>> = { guest: 0, cpu: 1, kvm: 2, host: 3, vmm: 4 };

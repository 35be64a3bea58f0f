import type { Diagnostic } from '../base/diagnostic';

/** The machine's error numbers. PW4xx belongs to src/vmm; a number never changes its meaning. */
export const MACHINE_CODES = {
  badMemory: 'PW400',
  badSlot: 'PW401',
  hostMemory: 'PW402',
  placement: 'PW403',
  badTlb: 'PW404',
  notBuilt: 'PW405',
  emptyImage: 'PW410',
  imageOutsideMemory: 'PW411',
  badEntry: 'PW412',
  bootSignature: 'PW413',
  badElf: 'PW414',
  noRoomForTables: 'PW415',
  badMultiboot: 'PW416',
  badFirmware: 'PW417',
  badCpu: 'PW418',
} as const;
export type MachineCode = keyof typeof MACHINE_CODES;

/** An error in the configuration or the guest image; `file`: the image's name, if it is about the image. */
export const machineError = (code: MachineCode, message: string, file = 'machine'): Diagnostic => ({
  severity: 'error',
  code: MACHINE_CODES[code],
  message,
  file,
});

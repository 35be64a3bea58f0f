/**
 * What a PC usually has at its ports and physical addresses: used to explain accesses without a device. Sources: the
 * resource lists of Linux (arch/x86/kernel/setup.c, standard_io_resources), QEMU's i440fx machine, Intel's ICH
 * datasheets, Ralf Brown's PORTS.LST.
 */

type Range = readonly [first: number, last: number, name: string];

const PORTS: readonly Range[] = [
  [0x00, 0x0f, '8237 DMA controller 1'],
  [0x20, 0x20, '8259 interrupt controller 1: command'],
  [0x21, 0x21, '8259 interrupt controller 1: mask'],
  [0x22, 0x23, 'chipset configuration'],
  [0x2e, 0x2f, 'Super I/O configuration'],
  [0x40, 0x42, '8254 timer: counters'],
  [0x43, 0x43, '8254 timer: mode'],
  [0x4e, 0x4f, 'Super I/O configuration'],
  [0x60, 0x60, '8042 keyboard controller: data'],
  [0x61, 0x61, 'NMI status and speaker'],
  [0x64, 0x64, '8042 keyboard controller: status and command'],
  [0x70, 0x70, 'CMOS and RTC: index, NMI mask'],
  [0x71, 0x71, 'CMOS and RTC: data'],
  [0x72, 0x73, 'extended CMOS'],
  [0x80, 0x80, 'POST code, and delay'],
  [0x81, 0x8f, 'DMA page registers'],
  [0x92, 0x92, 'system control port A: fast A20, reset'],
  [0xa0, 0xa0, '8259 interrupt controller 2: command'],
  [0xa1, 0xa1, '8259 interrupt controller 2: mask'],
  [0xb2, 0xb3, 'APM: SMI command and status'],
  [0xc0, 0xdf, '8237 DMA controller 2'],
  [0xe9, 0xe9, 'debug console (Bochs, QEMU)'],
  [0xf0, 0xf1, 'x87 error latch'],
  [0xf4, 0xf4, 'exit port (QEMU isa-debug-exit)'],
  [0x170, 0x177, 'secondary ATA channel'],
  [0x1ce, 0x1d0, 'Bochs VBE display'],
  [0x1f0, 0x1f7, 'primary ATA channel'],
  [0x200, 0x207, 'joystick'],
  [0x220, 0x22f, 'Sound Blaster'],
  [0x278, 0x27f, 'parallel port 2'],
  [0x2e8, 0x2ef, 'serial port 4'],
  [0x2f8, 0x2ff, 'serial port 2'],
  [0x300, 0x31f, 'NE2000 network card'],
  [0x330, 0x331, 'MPU-401 MIDI'],
  [0x376, 0x376, 'secondary ATA channel: control'],
  [0x378, 0x37f, 'parallel port 1'],
  [0x388, 0x38b, 'AdLib FM synthesis'],
  [0x3b0, 0x3bb, 'MDA, VGA in monochrome'],
  [0x3bc, 0x3bf, 'parallel port 3'],
  [0x3c0, 0x3c1, 'VGA: attribute controller'],
  [0x3c2, 0x3c2, 'VGA: miscellaneous output, input status 0'],
  [0x3c4, 0x3c5, 'VGA: sequencer'],
  [0x3c6, 0x3c9, 'VGA: DAC'],
  [0x3ca, 0x3cc, 'VGA: feature control, miscellaneous output'],
  [0x3ce, 0x3cf, 'VGA: graphics controller'],
  [0x3d4, 0x3d5, 'VGA: CRT controller'],
  [0x3da, 0x3da, 'VGA: input status 1'],
  [0x3e8, 0x3ef, 'serial port 3'],
  [0x3f0, 0x3f5, 'floppy controller'],
  [0x3f6, 0x3f6, 'primary ATA channel: control'],
  [0x3f7, 0x3f7, 'floppy controller: rate, change line'],
  [0x3f8, 0x3ff, 'serial port 1'],
  [0x402, 0x402, 'debug port of SeaBIOS and OVMF'],
  [0x4d0, 0x4d1, '8259: edge or level triggered'],
  [0x501, 0x501, 'exit port (QEMU isa-debug-exit)'],
  [0x510, 0x511, 'QEMU firmware configuration (fw_cfg)'],
  [0x514, 0x51b, 'QEMU firmware configuration: DMA'],
  [0x600, 0x63f, 'ACPI power management (PIIX4, ICH9)'],
  [0x604, 0x604, 'ACPI power-off of QEMU'],
  [0xb000, 0xb03f, 'ACPI power management (older QEMU, Bochs)'],
  [0xb004, 0xb004, 'ACPI power-off of older QEMU and Bochs'],
  [0xcf8, 0xcfb, 'PCI configuration: address'],
  [0xcf9, 0xcf9, 'reset control'],
  [0xcfc, 0xcff, 'PCI configuration: data'],
  [0xe0, 0xe8, 'kvm-unit-tests pc-testdev'],
  [0x5658, 0x5659, 'VMware backdoor'],
];

type WideRange = readonly [first: bigint, last: bigint, name: string];
const MMIO: readonly WideRange[] = [
  [0xa0000n, 0xaffffn, 'VGA graphics memory'],
  [0xb0000n, 0xb7fffn, 'VGA monochrome text memory'],
  [0xb8000n, 0xbffffn, 'VGA text memory'],
  [0xc0000n, 0xc7fffn, 'video BIOS'],
  [0xc8000n, 0xdffffn, 'option ROMs'],
  [0xe0000n, 0xfffffn, 'system BIOS'],
  [0xb000_0000n, 0xbfff_ffffn, 'PCI Express configuration (q35)'],
  [0xe000_0000n, 0xefff_ffffn, 'PCI Express configuration, PCI memory'],
  [0xfec0_0000n, 0xfec0_0fffn, 'I/O APIC'],
  [0xfed0_0000n, 0xfed0_03ffn, 'HPET'],
  [0xfed1_c000n, 0xfed1_ffffn, 'chipset configuration (RCRB)'],
  [0xfed4_0000n, 0xfed4_4fffn, 'TPM'],
  [0xfee0_0000n, 0xfee0_0fffn, 'local APIC'],
  [0xfd00_0000n, 0xfdff_ffffn, 'frame buffer of QEMU’s VGA'],
  [0xff00_0000n, 0xff00_ffffn, 'kvm-unit-tests pc-testdev'],
  [0xfffc_0000n, 0xffff_ffffn, 'firmware ROM'],
  [0xc000_0000n, 0xfebf_ffffn, 'PCI memory'],
];

const SINGLE = new Map<number, string>(PORTS.flatMap(([a, b, name]) => (a === b ? [[a, name] as const] : [])));

/** What a PC usually has at an I/O port; undefined: nothing. */
export const usualPort = (port: number): string | undefined =>
  SINGLE.get(port) ?? PORTS.find(([first, last]) => port >= first && port <= last)?.[2];

/** What a PC usually has at a physical address; undefined: nothing. */
export const usualMemory = (gpa: bigint): string | undefined =>
  MMIO.find(([first, last]) => gpa >= first && gpa <= last)?.[2];

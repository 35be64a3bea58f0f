import { ports, type Device, type DeviceHost, type DeviceSpec } from '../bus/device';

/** Register offsets from the base port (National Semiconductor PC16550D data sheet, table 2). */
const REG = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
/** Divisor latch access: offsets 0 and 1 are the divisor. */
const LCR_DLAB = 0x80;
const MCR_LOOP = 0x10;
const LSR_DATA_READY = 0x01;
/** Transmitter holding register and transmitter empty: always set, because a byte is sent as it is written. */
const LSR_TRANSMITTER_EMPTY = 0x60;
const IIR_NONE_PENDING = 0x01;
const IIR_FIFOS_ENABLED = 0xc0;
/** CTS, DSR and DCD from a connected terminal. */
const MSR_PRESENT = 0xb0;

interface State {
  readonly divisor: number;
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly scr: number;
  readonly received: number | undefined;
}

/**
 * A 16550A at COM1, transmitting into a sink. Interrupts and input will come with the machine's interrupt controller;
 * loopback works.
 */
class Serial16550 implements Device {
  private state: State = { divisor: 12, ier: 0, fcr: 0, lcr: 0, mcr: 0, scr: 0, received: undefined };

  constructor(private readonly host: Pick<DeviceHost, 'output'>) {}

  read(offset: number): number {
    const s = this.state;
    const divisor = (s.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case REG.DATA: {
        if (divisor) return s.divisor & 0xff;
        this.state = { ...s, received: undefined };
        return s.received ?? 0;
      }
      case REG.IER:
        return divisor ? s.divisor >> 8 : s.ier;
      case REG.IIR_FCR:
        return IIR_NONE_PENDING | ((s.fcr & 1) !== 0 ? IIR_FIFOS_ENABLED : 0);
      case REG.LCR:
        return s.lcr;
      case REG.MCR:
        return s.mcr;
      case REG.LSR:
        return LSR_TRANSMITTER_EMPTY | (s.received !== undefined ? LSR_DATA_READY : 0);
      case REG.MSR:
        // in loopback the modem outputs (MCR 3:0 = OUT2 OUT1 RTS DTR) come back as inputs (DCD RI DSR CTS in 7:4)
        return (s.mcr & MCR_LOOP) !== 0 ? ((s.mcr & 0xc) << 4) | ((s.mcr & 1) << 5) | ((s.mcr & 2) << 3) : MSR_PRESENT;
      default:
        return s.scr;
    }
  }

  write(offset: number, v: number): void {
    const s = this.state;
    const divisor = (s.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case REG.DATA:
        if (divisor) this.state = { ...s, divisor: (s.divisor & 0xff00) | v };
        else if ((s.mcr & MCR_LOOP) !== 0) this.state = { ...s, received: v };
        else this.host.output(v);
        break;
      case REG.IER:
        this.state = divisor ? { ...s, divisor: (s.divisor & 0xff) | (v << 8) } : { ...s, ier: v & 0xf };
        break;
      case REG.IIR_FCR:
        this.state = { ...s, fcr: v };
        break;
      case REG.LCR:
        this.state = { ...s, lcr: v };
        break;
      case REG.MCR:
        this.state = { ...s, mcr: v & 0x1f };
        break;
      case REG.SCR:
        this.state = { ...s, scr: v };
        break;
      default:
      // LSR and MSR are read-only
    }
  }

  save(): State {
    return this.state;
  }
  restore(state: unknown): void {
    this.state = state as State;
  }
}

export const SERIAL = {
  name: 'serial',
  title: 'the serial port',
  ranges: [ports(0x3f8, 0x3ff, ['serial_ioport_read', 'serial_ioport_write'])],
  output: 'File that receives what the guest writes to the serial port.',
  make: (host) => new Serial16550(host),
} as const satisfies DeviceSpec;

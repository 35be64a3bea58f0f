import { formatDiagnostic } from '../../src/base/diagnostic';
import { Machine } from '../../src/vmm/machine';
import type { MachineEnd } from '../../src/vmm/machine-stop';
import { multibootImage } from '../../src/vmm/loader/image';
import { DEFAULT_OPTIONS, type MachineOptions } from '../../src/vmm/options';

/** The module from which the suite takes its configuration: no test device, a boot loader that is none of theirs. */
const ENVIRONMENT = 'NR_CPUS=1\nMEMSIZE=512\nTEST_DEVICE=0\nBOOTLOADER=1\n';
const SLICE = 20_000_000;

/** What one image printed and how it ended. */
export interface Outcome {
  readonly serial: string;
  /** Undefined: it did not end within its instructions. */
  readonly end: MachineEnd | undefined;
  readonly instructions: bigint;
  readonly exits: ReadonlyMap<string, number>;
  readonly rip: bigint;
}

/** Runs an image of the suite as a Multiboot kernel, on a machine of 512 MiB whose other options `machine` says. */
export function runImage(
  name: string,
  bytes: Uint8Array,
  options: { readonly limit: bigint; readonly machine?: Partial<MachineOptions> },
): Outcome {
  const modules = [{ bytes: new TextEncoder().encode(ENVIRONMENT), commandLine: 'environment' }];
  const image = multibootImage(bytes, name, name, modules);
  if (!image.ok) throw new Error(image.error.map(formatDiagnostic).join('\n'));
  let serial = '';
  const machine = Machine.create(
    {
      ...DEFAULT_OPTIONS,
      memory: 512n << 20n,
      ...options.machine,
    },
    image.value,
    {
      serial: (b) => (serial += String.fromCharCode(b)),
      debugcon: () => undefined,
    },
  );
  if (!machine.ok) throw new Error(machine.error.map(formatDiagnostic).join('\n'));
  const m = machine.value;
  let end: MachineEnd | undefined;
  while (!end && m.instructions < options.limit) {
    const stop = m.run(SLICE);
    if (stop.kind === 'end') end = stop.end;
  }
  return {
    serial: serial.replaceAll('\r', ''),
    end,
    instructions: m.instructions,
    exits: m.exits.byReason,
    rip: m.accelerator.registers().rip,
  };
}

import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { Machine, type MachineSinks } from '../../vmm/machine';
import { elfImage, firmwareImage, flatImage, multibootImage, type GuestImage } from '../../vmm/loader/image';
import { devicesWith } from '../../vmm/devices/table';
import { DEFAULT_OPTIONS, type MachineOptions, type StartKind } from '../../vmm/options';
import { err, ok } from '../../base/result';
import type { Answer } from '../answer';
import type { Program } from './program';
import type { Settings } from './options';

const MIB = 1n << 20n;
/** Page tables, VMCSs and the rest of what the host needs beside guest RAM. */
const HOST_OVERHEAD = 64n * MIB;
const GIB = 1n << 30n;
const MAX_HOST_MEMORY = 3n * GIB;
const LEAST_HOST_MEMORY = 256n * MIB;

/**
 * Host memory where nobody says how much: room for all of guest RAM, as far as the model's limit goes. Large pages want aligned runs beside the scattered
 * single frames, so they get as much again. Only what is touched is used.
 */
function hostMemory(s: Settings): number {
  if (s.hostMemory !== undefined) return Number(s.hostMemory);
  const page = s.hostPages === '1g' ? GIB : 2n * MIB;
  const up = (n: bigint): bigint => ((n + page - 1n) / page) * page;
  const ram = s.slots.length > 0 ? s.slots.reduce((n, slot) => n + up(slot.size), 0n) : up(s.memory);
  const slack = s.hostPages === '4k' ? HOST_OVERHEAD : s.hostPages === '1g' ? GIB : ram + HOST_OVERHEAD;
  const wanted = up(ram + slack);
  return Number(wanted > MAX_HOST_MEMORY ? MAX_HOST_MEMORY : wanted < LEAST_HOST_MEMORY ? LEAST_HOST_MEMORY : wanted);
}

/** A machine with the program loaded, before its first instruction; what is wrong is told in the words of the options. */
export function createMachine(program: Program, sinks: MachineSinks): Answer<Machine> {
  const { settings: s, directives } = program;
  const options: MachineOptions = {
    ...DEFAULT_OPTIONS,
    mmu: s.mmu,
    shadow: s.shadow,
    memory: s.memory,
    slots: s.slots.map((slot) => ({ gpa: slot.gpa, size: slot.size, readonly: slot.readOnly })),
    hostMemory: hostMemory(s),
    hostSwap: s.hostSwap,
    hostBase: s.hostBase,
    hvaBase: s.hvaBase,
    hostPages: s.hostPages,
    eptAd: s.eptAd,
    vpid: s.vpid,
    tlb: s.tlb ?? DEFAULT_OPTIONS.tlb,
    walkCaches: s.walkCaches,
    placements: directives.places.map(({ hva, hpa }) => ({ hva, hpa })),
    maxInstructions: s.maxInstructions,
    seed: s.seed,
    cpu: s.cpu,
    devices: devicesWith(s.devices),
  };
  const image = imageOf(program);
  const machine = image.ok ? Machine.create(options, image.value, sinks) : image;
  return machine.ok ? ok(machine.value) : err(machine.error.map((d) => located(d, program)));
}

/** The image as its start wants it. */
function imageOf(program: Program): Result<GuestImage, readonly Diagnostic[]> {
  const { image, start, file, files, settings } = program;
  switch (start) {
    case 'elf':
      return elfImage(image, file);
    case 'multiboot': {
      const { module } = files;
      const commandLine = settings.append === undefined ? file : `${file} ${settings.append}`;
      return multibootImage(
        image,
        file,
        commandLine,
        module ? [{ bytes: module.bytes, commandLine: module.name }] : [],
      );
    }
    case 'reset': {
      if (!files.firmware) return firmwareImage(image, file);
      const ram = flat(program, 'flat16');
      return ram.ok ? firmwareImage(files.firmware.bytes, files.firmware.name, ram.value.segments) : ram;
    }
    default:
      return flat(program, start);
  }
}

/** A flat image with the zero bytes that it expects behind it: these must fit too. */
function flat(
  { image, origin, entry, file, bss }: Program,
  start: StartKind,
): Result<GuestImage, readonly Diagnostic[]> {
  const made = flatImage(image, start, { file, origin, entry });
  if (!made.ok || bss === 0) return made;
  const segments = made.value.segments.map((s) => ({ ...s, memorySize: s.memorySize + BigInt(bss) }));
  return ok({ ...made.value, segments });
}

/** The machine knows nothing of files: an error about a placement gets the place of its directive. */
function located(d: Diagnostic, program: Program): Diagnostic {
  const place = d.file === 'machine' && d.code === 'PW403' ? program.directives.places[0]?.span : undefined;
  return place ? { ...d, file: place.file, span: place } : { ...d, file: d.file === 'machine' ? program.file : d.file };
}

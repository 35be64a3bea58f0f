import { hex } from '../../base/hex';
import { rule } from './rule';

/**
 * What a selector is for, as named in sentences: 0–7 the segment register (ES CS SS DS FS GS LDTR TR), then other
 * roles: from ROLE.GATE a gate of the IDT (plus its vector), from ROLE.TSS_STACK the stack segment of a privilege
 * level in the TSS.
 */
export const ROLE = { CS: 1, SS: 2, LDT: 6, TSS: 7, CALL_GATE: 8, TSS_STACK: 16, GATE: 256 } as const;

const REGISTERS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDT', 'TSS'] as const;
export const segmentName = (index: number): string => REGISTERS[index] ?? `segment ${index}`;

/** `the CS selector 0x16c`. */
function selectorName(role: number, selector: number): string {
  if (role >= ROLE.GATE) return `the selector ${hex(selector)} of gate ${role - ROLE.GATE}`;
  if (role >= ROLE.TSS_STACK) return `the SS${role - ROLE.TSS_STACK} selector ${hex(selector)} in the TSS`;
  if (role === ROLE.CALL_GATE) return `the selector ${hex(selector)} of the call gate`;
  return `the ${segmentName(role)} selector ${hex(selector)}`;
}
/** `gate 6 leads to`, `the CS selector 0x10 names`. */
function leadsTo(role: number, selector: number): string {
  if (role >= ROLE.GATE) return `gate ${role - ROLE.GATE} leads to`;
  if (role === ROLE.CALL_GATE) return 'the call gate leads to';
  return `${selectorName(role, selector)} names`;
}

const SYSTEM: Readonly<Record<number, string>> = {
  1: 'an available 16-bit TSS',
  2: 'an LDT',
  3: 'a busy 16-bit TSS',
  4: 'a 16-bit call gate',
  5: 'a task gate',
  6: 'a 16-bit interrupt gate',
  7: 'a 16-bit trap gate',
  9: 'an available TSS',
  11: 'a busy TSS',
  12: 'a call gate',
  14: 'an interrupt gate',
  15: 'a trap gate',
};
const systemKind = (type: number): string => SYSTEM[type] ?? `a system descriptor of the reserved type ${type}`;

/** A descriptor's kind, from its access rights (type in bits 3:0, S in bit 4). */
export function segmentKind(rights: number): string {
  const type = rights & 0xf;
  if ((rights & 0x10) === 0) return systemKind(type);
  if ((type & 8) !== 0) return `${type & 2 ? 'a' : 'an execute-only'} ${type & 4 ? 'conforming ' : ''}code segment`;
  return `a ${type & 2 ? '' : 'read-only '}data segment`;
}

const table = (selector: number): string => ((selector & 4) !== 0 ? 'LDT' : 'GDT');

/** Selectors and the descriptors they name. */
export const DESCRIPTOR_RULES = {
  'selector-null': rule('SDM vol. 3, 5.4.1', (role: number, selector: number) => {
    return `${selectorName(role, selector)} is null`;
  }),
  'selector-limit': rule('SDM vol. 3, 5.3', (role: number, selector: number, limit: number) => {
    return `${selectorName(role, selector)} indexes beyond the ${table(selector)} limit ${hex(limit)}`;
  }),
  'selector-without-ldt': rule('SDM vol. 3, 2.4.2', (role: number, selector: number) => {
    return `${selectorName(role, selector)} is in the LDT, and LDTR holds no segment`;
  }),
  'selector-in-ldt': rule('SDM vol. 3, 7.2.2', (role: number, selector: number) => {
    return `${selectorName(role, selector)} is in the LDT: descriptors of TSSs and LDTs are in the GDT`;
  }),
  /** `wanted`: what the selector must name. */
  'descriptor-type': rule('SDM vol. 3, 5.2', (role: number, selector: number, rights: number, wanted: string) => {
    const where = leadsTo(role, selector);
    const kind = segmentKind(rights);
    return role >= ROLE.CALL_GATE && role !== ROLE.TSS_STACK && wanted === 'code'
      ? `${where} ${kind}`
      : `${where} ${kind}; it must name ${wanted}`;
  }),
  /** `wanted`: the relation that does not hold. */
  'descriptor-privilege': rule(
    'SDM vol. 3, 5.5–5.8',
    (role: number, selector: number, dpl: number, cpl: number, wanted: string) => {
      return `${leadsTo(role, selector)} a segment of DPL ${dpl}, with RPL ${selector & 3} at CPL ${cpl}: ${wanted}`;
    },
  ),
  'descriptor-absent': rule('SDM vol. 3, 3.4.5', (role: number, selector: number, rights: number) => {
    return `${leadsTo(role, selector)} ${segmentKind(rights)} that is not present (P = 0)`;
  }),
  'code-l-and-d': rule('SDM vol. 3, 5.2.1', (role: number, selector: number) => {
    return `${leadsTo(role, selector)} a code segment with both L and D set, which no mode has`;
  }),
  'code-not-64-bit': rule('SDM vol. 3, 6.14.1', (role: number, selector: number) => {
    return `${leadsTo(role, selector)} code that is not 64-bit (L = 0)`;
  }),
  'descriptor-second-half': rule('SDM vol. 3, 3.5.2', (role: number, selector: number) => {
    return `the second quadword of the descriptor that ${selectorName(role, selector)} names is not that of a system descriptor: bits 44:40 are not zero`;
  }),
  'descriptor-base': rule('SDM vol. 3, 3.5.2', (role: number, selector: number, base: bigint) => {
    return `${leadsTo(role, selector)} a segment whose base ${hex(base)} is not canonical`;
  }),
  'gate-dpl': rule('SDM vol. 3, 5.8.4', (selector: number, rights: number, cpl: number) => {
    return `the selector ${hex(selector)} names ${segmentKind(rights)} of DPL ${(rights >> 5) & 3}: CPL ${cpl} and RPL ${selector & 3} must not be above it`;
  }),
  'tss-limit': rule('SDM vol. 3, 7.2', (offset: number, size: number, limit: number) => {
    return `the TSS limit ${hex(limit)} is below the ${size} bytes at offset ${hex(offset)} that hold the new stack`;
  }),
  'tss-too-small': rule('SDM vol. 3, 7.2.2', (selector: number, limit: number, minimum: number) => {
    return `the TSS ${hex(selector)} has the limit ${hex(limit)}; at least ${hex(minimum)} is needed`;
  }),
  'tss-stack': rule('SDM vol. 3, 6.14.4', (ist: number, cpl: number, address: bigint) => {
    return `${ist > 0 ? `IST${ist}` : `RSP${cpl}`} in the TSS is ${hex(address)}, which is not canonical`;
  }),
  'return-outward': rule('SDM vol. 3, 5.8.6', (selector: number, cpl: number) => {
    return `the CS selector ${hex(selector)} has RPL ${selector & 3}: a return from CPL ${cpl} cannot go to a more privileged level`;
  }),
  'iret-nested-task': rule('SDM vol. 2, IRET', () => {
    return 'RFLAGS.NT = 1 asks for a return to another task, which IA-32e mode does not have';
  }),
  'v86-ip': rule('SDM vol. 3, 20.2.5', (ip: bigint) => {
    return `EIP ${hex(ip)} is beyond 0xffff, the limit of a segment in virtual-8086 mode`;
  }),
} as const;

/** Gates of the IDT. */
export const GATE_RULES = {
  'gate-limit': rule('SDM vol. 3, 6.10', (vector: number, last: number, limit: number) => {
    return `gate ${vector} ends at offset ${hex(last)} of the IDT, beyond its limit ${hex(limit)}`;
  }),
  'ivt-limit': rule('SDM vol. 3, 20.1.4', (vector: number, last: number, limit: number) => {
    return `entry ${vector} of the interrupt vector table ends at offset ${hex(last)}, beyond the limit ${hex(limit)}`;
  }),
  'gate-type': rule('SDM vol. 3, 6.11', (vector: number, type: number, long: boolean) => {
    const what = (type & 0x10) !== 0 ? `of type ${hex(type)}` : type === 0 ? 'empty' : systemKind(type);
    return `gate ${vector} is ${what}, not an interrupt or trap gate${long ? ' of 64-bit mode' : ' or task gate'}`;
  }),
  'gate-software': rule('SDM vol. 3, 6.12.1.1', (vector: number, dpl: number, cpl: number) => {
    return `gate ${vector} has DPL ${dpl}: software at CPL ${cpl} may not use it`;
  }),
  'gate-absent': rule('SDM vol. 3, 6.11', (vector: number) => `gate ${vector} is not present (P = 0)`),
  'gate-from-v86': rule('SDM vol. 3, 20.3.1.1', (vector: number, dpl: number) => {
    return `gate ${vector} leads to code that runs at level ${dpl}: a handler that interrupts virtual-8086 mode runs at level 0 and is not conforming`;
  }),
} as const;

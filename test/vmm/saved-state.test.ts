/**
 * What a machine saves is all that it is: the live objects of a machine are walked, field by field, before a snapshot and after it is restored; each field of a snapshot is changed alone
 * and must come back from the machine; and the hash of the whole machine is the same however it was run to an instruction.
 */
import * as assert from 'node:assert/strict';
import { OrdinaryWalk } from '../../src/hw/paging/ordinary';
import { SecondLevelWalk } from '../../src/hw/paging/second-level-walk';
import { WalkOut } from '../../src/hw/paging/walk-out';
import type { Machine } from '../../src/vmm/machine';
import { stateHash } from '../../src/vmm/state-hash';
import { METHODS, METHOD_NAMES, type MethodName } from '../kvm/support/methods';
import { Guest } from './support/guest';

/** Touches what there is: tables, a page of the host's, ports, MMIO, an exception, x87, SSE, MSRs, the local APIC. */
const BUSY = `
 lidt [rel idtr]
 mov rax, cr4
 or eax, 0x600
 mov cr4, rax
 ; the local APIC and a hole of GPAs, by a page of 1 GiB
 mov rax, cr3
 mov rax, [rax]
 and rax, ~0xfff
 mov edx, 0xc0000083
 mov [rax + 24], rdx
 mov rcx, 300
 mov rbx, 0x300000
again: mov [rbx], rcx
 add rax, [rbx]
 push rax
 pop rsi
 xor rdi, rax
 test rcx, 15
 jnz over
 push rcx
 mov dx, 0x3f8
 mov al, 'x'
 out dx, al
 mov al, 'y'
 out 0xe9, al
 cpuid
 mov ecx, 0x174
 mov eax, ebx
 xor edx, edx
 wrmsr
 mov edx, 0xfee00080
 mov dword [rdx], 0x20
 mov edx, 0xd0000000
 mov eax, [rdx]
 pop rcx
 mov rbx, 0x300000
over: add rbx, 0x1123
 fld1
 fldpi
 faddp
 fstp qword [rbx]
 cvtsi2sd xmm1, rcx
 addsd xmm2, xmm1
 mov r8, cr3
 mov cr3, r8
 sub rcx, 1
 jnz again
 hlt
align 8
idtr: dw 0
 dq 0
`;

const at = (guest: Guest, n: number, slice: number): void => {
  const { machine } = guest;
  while (Number(machine.instructions) < n)
    if (machine.run(Math.min(slice, n - Number(machine.instructions))).kind === 'end') break;
};
const started = (method: MethodName): Guest => new Guest(BUSY, 'flat64', METHODS[method]);

describe('hash of the whole machine', () => {
  for (const method of METHOD_NAMES)
    it(`${method}: the same stepped, in slices and at once`, () => {
      const [once, slices, steps] = [started(method), started(method), started(method)];
      for (const n of [1, 40, 700, 1500, 3000]) {
        at(once, n, n);
        at(slices, n, 7);
        at(steps, n, 1);
        const hash = once.machine.hash();
        assert.deepEqual([slices.machine.hash(), steps.machine.hash()], [hash, hash], `at instruction ${n}`);
      }
    });

  it('tells machines apart that differ in one bit of memory, or of a register', () => {
    const guest = started('ept');
    const { machine } = guest;
    at(guest, 5, 5);
    const before = machine.hash();
    at(guest, 6, 1);
    const after = machine.hash();
    assert.notEqual(after, before);
    const s = machine.accelerator.registers();
    s.set(9, s.get(9) ^ 1n);
    assert.notEqual(machine.hash(), after);
    s.set(9, s.get(9) ^ 1n);
    assert.equal(machine.hash(), after);
    const root = machine.memory.read(machine.vm.mmu.root, 1);
    machine.memory.write(machine.vm.mmu.root, Uint8Array.of((root[0] ?? 0) ^ 1));
    assert.notEqual(machine.hash(), after);
  });

  it('takes data of any kind, by value', () => {
    assert.equal(stateHash({ a: 1, b: undefined, c: [1n] }), stateHash({ c: [1n], a: 1 }));
    const kinds = [0, 0n, '0', false, null, undefined, [], {}, [0], new Map([[0, 0]]), new Uint8Array(1), -0];
    assert.equal(new Set(kinds.map(stateHash)).size, kinds.length);
    assert.throws(() => stateHash(() => 0), TypeError);
  });
});

// ---- the live objects

/** Fields that hold nothing of the machine's state: what follows from it, or what belongs to whoever watches. */
const NOT_STATE: readonly (readonly [RegExp, string])[] = [
  [/\.blocks\b|\.fetcher\b|\.codeFrames$/, 'decoded code: decoded again when it is met'],
  [/\.lastFrame$/, 'a hint: the frame that was asked about last'],
  [/\.exits\.steps$/, 'of the exit that is handled: a snapshot lies outside one'],
  [/\.rights\.cache$/, 'follows from the controls'],
  [/\.debugUnit\.key$|\.debugging$/, 'follows from DR7: looked at again after a restore'],
  [/\.vpid0Filled$/, 'set: an entry of VPID 0 may be there'],
  [/\.stepNames\.(place|cycles)$/, 'a ring: what lies beyond its count is overwritten before it is read'],
  [/\.unchecked$/, 'set: the next VM entry checks every field'],
];

/** What the last walk was of and came to: every walk overwrites it. */
const LAST_WALK = [WalkOut, OrdinaryWalk, SecondLevelWalk];

type Graph = ReadonlyMap<string, unknown>;

/** Each number, string, bigint and flag that can be reached from `root` by fields, by its path. */
function graphOf(root: Machine): Graph {
  const found = new Map<string, unknown>();
  const seen = new Set<object>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value === 'function' || value instanceof WebAssembly.Memory || value instanceof ArrayBuffer) return;
    if (typeof value !== 'object' || value === null) return void found.set(path, value);
    if (seen.has(value) || LAST_WALK.some((kind) => value instanceof kind)) return;
    seen.add(value);
    if (ArrayBuffer.isView(value)) {
      // the machine's memory is hashed with it, as far as it is in use
      if (value.buffer === root.memory.buffer) return;
      return void found.set(path, stateHash(value));
    }
    const list = Array.isArray(value) || value instanceof Map || value instanceof Set;
    if (list) [...value].forEach((v, i) => visit(v, `${path}[${i}]`));
    else for (const [key, v] of Object.entries(value)) visit(v, `${path}.${key}`);
    if (list) found.set(`${path}.size`, Array.isArray(value) ? value.length : value.size);
  };
  visit(root, '');
  return found;
}

function differences(a: Graph, b: Graph): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((path) => !Object.is(a.get(path), b.get(path)));
}

describe('a restored machine', () => {
  for (const method of METHOD_NAMES)
    it(`${method}: has every field as it was`, () => {
      const guest = started(method);
      const { machine } = guest;
      at(guest, 700, 700);
      const saved = machine.save();
      const hash = machine.hash();
      const before = graphOf(machine);
      at(guest, 2500, 2500);
      assert.notEqual(machine.hash(), hash);
      machine.restore(saved);
      assert.equal(machine.hash(), hash);
      const forgotten = differences(before, graphOf(machine)).filter((p) => !NOT_STATE.some(([of]) => of.test(p)));
      assert.deepEqual(forgotten, []);
    });

  for (const method of METHOD_NAMES)
    it(`${method}: takes each field of a snapshot`, () => {
      const guest = started(method);
      const { machine } = guest;
      at(guest, 700, 700);
      const state = machine.save() as unknown as Tree;
      const lost = leavesOf(state).filter((path) => !FOLLOWS.test(path.join('.')) && !comesBack(machine, state, path));
      machine.restore(machine.save());
      assert.deepEqual(
        lost.map((path) => path.join('.')),
        [],
      );
    });
});

type Tree = { readonly [key: string]: unknown };
type Path = readonly string[];
/** Saved so that it is known whether there is a second level; while SVM's guest runs, the root itself is the VMCB's N_CR3. */
const FOLLOWS = /^accelerator\.cpu\.mmu\.tables$/;
/** Elements of an array that are tried. */
const MOST = 3;

function leavesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return value === undefined ? [] : [path];
  if (ArrayBuffer.isView(value)) return value.byteLength === 0 ? [] : [path];
  return Object.entries(value)
    .slice(0, Array.isArray(value) ? MOST : undefined)
    .flatMap(([key, v]) => leavesOf(v, [...path, key]));
}

/** Whether the machine, restored with another value at `path`, saves that value. */
function comesBack(machine: Machine, state: Tree, path: Path): boolean {
  const changed = withChange(state, path);
  try {
    machine.restore(changed as never);
  } catch {
    // the value is refused, so it was looked at
    machine.restore(state as never);
    return true;
  }
  const back = machine.save();
  const same = stateHash(valueAt(back, path)) === stateHash(valueAt(changed, path));
  machine.restore(state as never);
  return same;
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((v, key) => (v as Tree | undefined)?.[key], value);

function withChange(value: unknown, [key, ...rest]: Path): unknown {
  if (key === undefined) return changedLeaf(value);
  const changed = withChange((value as Tree)[key], rest);
  if (Array.isArray(value)) return value.map((v, i) => (String(i) === key ? changed : v) as unknown);
  return { ...(value as Tree), [key]: changed };
}

function changedLeaf(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const copy = structuredClone(value) as Uint8Array;
    const bytes = new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    return copy;
  }
  switch (typeof value) {
    case 'number':
      return value + 1;
    case 'bigint':
      return value ^ 1n;
    case 'boolean':
      return !value;
    case 'string':
      return `${value}'`;
    default:
      return value;
  }
}

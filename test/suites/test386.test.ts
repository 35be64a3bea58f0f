/**
 * barotto/test386.asm on the bare CPU: real and protected mode, segmentation, call gates, task switches, rings, virtual-8086 mode, paging with accessed and dirty
 * bits. The ROM image is built outside the project and named by PAGEWALK_TEST386 (a folder holding `test386.bin`, and for the comparison of
 * results `test386-EE-reference.txt`; built with OUT_PORT 0xE9). Without it the suite is skipped by name.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hpa } from '../../src/base/address';
import { Cpu } from '../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../src/hw/cpu/cpuid-model';
import { setRealMode } from '../../src/hw/cpu/system/reset';
import { HostMemory } from '../../src/hw/memory/host-memory';
import { PostDisplay } from '../../src/vmm/devices/post';
import { firmwareImage } from '../../src/vmm/loader/image';
import { Machine } from '../../src/vmm/machine';
import { DEFAULT_OPTIONS } from '../../src/vmm/options';
import { skipBecause } from '../support/needs';

const FOLDER = process.env['PAGEWALK_TEST386'];
const POST_PORT = 0x190n;
const TEXT_PORT = 0xe9n;
/** About 76 million instructions are enough; the rest is slack before a hang is called one. */
const BUDGET = 200_000_000n;
const SLICE = 4_000_000;

/** Runs the ROM until it halts; the POST codes it showed and what it printed. */
function run(rom: Uint8Array): { readonly posts: readonly number[]; readonly text: string } {
  const memory = new HostMemory(0n, 0x40_0000);
  memory.write(hpa(0xf_0000n), rom);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 256, tlbWays: 4 });
  setRealMode(cpu.state, 0xf000, 0xfff0);
  const posts: number[] = [];
  const text: string[] = [];
  while (cpu.retired < BUDGET) {
    const stop = cpu.run(SLICE);
    if (stop.kind === 'budget') continue;
    if (stop.kind !== 'bus' || stop.event.space !== 'io') break;
    const { op, address, value } = stop.event;
    if (op === 'read') cpu.state.set(0, cpu.state.get(0) | 0xffn);
    else if (address === POST_PORT) posts.push(Number(value));
    else if (address === TEXT_PORT) text.push(String.fromCharCode(Number(value)));
    cpu.state.rip = cpu.nextRip;
  }
  return { posts, text: text.join('') };
}

/** The same ROM as firmware of a whole machine: from the reset vector, under EPT, each byte of its text a port exit. */
function runUnderKvm(rom: Uint8Array): { readonly posts: readonly number[]; readonly text: string } {
  const image = firmwareImage(rom, 'test386.bin');
  assert.ok(image.ok);
  const text: string[] = [];
  const made = Machine.create({ ...DEFAULT_OPTIONS, memory: 4n << 20n }, image.value, {
    serial: () => undefined,
    debugcon: (b) => text.push(String.fromCharCode(b)),
  });
  assert.ok(made.ok);
  const machine = made.value;
  while (machine.instructions < BUDGET && machine.run(SLICE).kind === 'budget');
  return { posts: machine.bus.find(PostDisplay)?.codes ?? [], text: text.join('') };
}

describe('test386.asm', function () {
  this.timeout(3_600_000);
  it('the same under EPT, from the reset vector', function () {
    if (FOLDER === undefined || !existsSync(join(FOLDER, 'test386.bin')))
      skipBecause(this, 'PAGEWALK_TEST386 names no folder with test386.bin');
    if (process.env['PAGEWALK_LONG'] === undefined) skipBecause(this, 'takes minutes: PAGEWALK_LONG=1 runs it');
    const { posts, text } = runUnderKvm(readFileSync(join(FOLDER, 'test386.bin')));
    assert.equal(posts.at(-1), 0xff, `POST codes: ${posts.map((p) => p.toString(16)).join(' ')}`);
    const reference = join(FOLDER, 'test386-EE-reference.txt');
    if (existsSync(reference) && text !== '')
      assert.equal(text.replaceAll('\r', ''), readFileSync(reference, 'latin1').replaceAll('\r', ''));
  });
  it('ends in POST FF and computes what the reference lists', function () {
    if (FOLDER === undefined || !existsSync(join(FOLDER, 'test386.bin')))
      skipBecause(this, 'PAGEWALK_TEST386 names no folder with test386.bin');
    const { posts, text } = run(readFileSync(join(FOLDER, 'test386.bin')));
    assert.equal(posts.at(-1), 0xff, `POST codes: ${posts.map((p) => p.toString(16)).join(' ')}`);
    const reference = join(FOLDER, 'test386-EE-reference.txt');
    if (!existsSync(reference) || text === '') return;
    const lines = (s: string): string[] => s.replaceAll('\r', '').split('\n');
    assert.deepEqual(lines(text), lines(readFileSync(reference, 'latin1')));
  });
});

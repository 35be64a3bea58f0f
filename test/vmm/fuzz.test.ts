import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { flatImage } from '../../src/vmm/loader/image';
import { Machine } from '../../src/vmm/machine';
import { DEFAULT_OPTIONS, type StartKind } from '../../src/vmm/options';
import { Guest } from './support/guest';

const SINKS = { serial: (): void => undefined, debugcon: (): void => undefined };
const SMALL = { memory: 4n << 20n, hostMemory: 32 << 20 };
const HOLE = {
  slots: [
    { gpa: 0n, size: 0x30_0000n, readonly: false },
    { gpa: 0x34_0000n, size: 0x8_0000n, readonly: true },
  ],
  hostMemory: 32 << 20,
};

describe('guests that go wrong', () => {
  it('random bytes run as far as they run and end with a reason, never with an exception of ours', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 200 }),
        fc.constantFrom<StartKind>('flat16', 'flat32', 'flat64'),
        fc.boolean(),
        (bytes, start, hole) => {
          const image = flatImage(bytes, start, { file: 'random.bin' });
          assert.ok(image.ok);
          const made = Machine.create({ ...DEFAULT_OPTIONS, ...(hole ? HOLE : SMALL) }, image.value, SINKS);
          assert.ok(made.ok, made.ok ? '' : made.error[0]?.message);
          let stop = made.value.run(3000);
          for (let i = 0; i < 20 && stop.kind === 'budget'; i++) stop = made.value.run(3000);
          if (stop.kind === 'end') assert.ok(stop.end.why.length > 0);
          else assert.equal(stop.kind, 'budget');
        },
      ),
      { seed: 11, numRuns: 80 },
    );
  });

  it("garbage in the guest's own page tables is the guest's fault", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 * 512 - 1 }), fc.bigInt(0n, (1n << 64n) - 1n)), {
          minLength: 1,
          maxLength: 6,
        }),
        (edits) => {
          const stores = edits
            .map(([index, value]) => `mov rax, 0x${value.toString(16)}\n mov [rbx + ${index * 8}], rax`)
            .join('\n');
          const g = new Guest(
            `mov rbx, cr3\n mov rcx, rbx\n ${stores}\n mov cr3, rcx\n mov rdi, 0x1000\nl: mov [rdi], rdi\n add rdi, 0x11000\n cmp rdi, 0x300000\n jb l\n hlt`,
            'flat64',
            SMALL,
          );
          const stop = g.stop(20);
          if (stop.kind === 'end')
            assert.ok(['halt', 'triple-fault', 'internal-error'].includes(stop.end.kind), stop.end.why);
        },
      ),
      { seed: 5, numRuns: 30 },
    );
  });

  it("random accesses across RAM, holes and read-only memory come out the same with and without the EPT's help", () => {
    // with the TLB off and A/D off every access takes another way through the same tables
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.integer({ min: 0x2f_fff0, max: 0x3c_0010 }),
            fc.constantFrom(
              'mov [rdi], rax',
              'add [rdi], eax',
              'xchg [rdi], al',
              'mov ax, [rdi]',
              'movsb',
              'push qword [rdi]',
            ),
            fc.boolean(),
          ),
          { minLength: 1, maxLength: 8 },
        ),
        (ops) => {
          const source = [
            'mov rsp, 0x200000',
            'mov rax, 0x1122334455667788',
            'mov rsi, 0x2ffff8',
            ...ops.flatMap(([at, op, edge]) => [`mov edi, ${edge ? 0x30_0000 - (at % 9) : at}`, op]),
            'mov rbx, [rsp]',
            'hlt',
          ].join('\n');
          const run = (options: object): unknown => {
            const g = new Guest(source, 'flat64', { ...HOLE, ...options });
            const stop = g.stop(20);
            return [stop.kind === 'end' ? stop.end.kind : stop.kind, g.gprs(), g.qword(0x2f_fff8n), g.stats.mmio_exits];
          };
          assert.deepEqual(run({ tlb: 'off', eptAd: false, vpid: false }), run({}));
        },
      ),
      { seed: 23, numRuns: 15 },
    );
  });
});

/** What the adapter calls things under each way to virtualize memory: nothing of one processor's is named while the guest runs on the other's. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { FIRST_TOUCH, HELLO } from './guests';
import { memoryHost } from './hosts';
import { FILE, Scene, lineOf } from './scene';

const threadId = 1;
const COMMON = ['Registers', 'Flags', 'Segments', 'Control State', 'SSE', 'x87', 'MSRs', 'Guest Page Tables'];
const SCOPES: Readonly<Record<string, readonly string[]>> = {
  ept: [...COMMON, 'EPT', 'Host Page Tables', 'VMCS', 'Memslots', 'TLB', 'Devices', 'Statistics', 'VM Exits'],
  npt: [...COMMON, 'NPT', 'Host Page Tables', 'VMCB', 'Memslots', 'TLB', 'Devices', 'Statistics', 'VM Exits'],
  shadow: [
    ...[...COMMON, 'Shadow Page Tables', 'Host Page Tables', 'VMCS', 'Memslots'],
    ...['TLB', 'Devices', 'Statistics', 'VM Exits'],
  ],
  software: [...COMMON, 'Host Page Tables', 'Memory Regions', 'Software TLB', 'Devices', 'Statistics'],
};
/** Words that have no place under a method. */
const FOREIGN: Readonly<Record<string, RegExp>> = {
  ept: /\b(NPT|NPF|VMCB|ASID|nCR3)\b/,
  npt: /\b(EPT|EPTP|VMCS|VPID|INVEPT|INVVPID|VMX_\w+|vmread|vmwrite)\b/,
  shadow: /\b(NPT|NPF|VMCB|ASID|nCR3)\b/,
  software: /\b(EPT|NPT|VMCS|VMCB|VPID|ASID|EPTP)\b/,
};

/** A client before a line of the guest. */
async function standing(mmu: string, source: string, before: string): Promise<Scene> {
  const d = new Scene(memoryHost({ [FILE]: source }, Session.create));
  await d.launch({ program: FILE, stopOnEntry: true, mmu });
  await d.toStop('configurationDone');
  await d.breakAt(lineOf(source, before));
  await d.toStop('continue');
  await d.breakAt();
  return d;
}

/** Every row below a scope, some levels deep, as text. */
async function texts(d: Scene, variablesReference: number, depth: number): Promise<string[]> {
  const { variables } = await d.ask<Dap.VariablesResponse['body']>('variables', { variablesReference });
  const below = await Promise.all(
    variables
      .slice(0, 40)
      .filter((v) => v.variablesReference > 0 && depth > 1)
      .map((v) => texts(d, v.variablesReference, depth - 1)),
  );
  return [...variables.map((v) => `${v.name} = ${v.value} ${v.type ?? ''}`), ...below.flat()];
}

type Breakpoints = { readonly breakpoints: readonly Dap.Breakpoint[] };
const filter = (d: Scene, filterId: string, condition?: string): Promise<Breakpoints> =>
  d.ask('setExceptionBreakpoints', {
    filters: [],
    filterOptions: [{ filterId, ...(condition === undefined ? {} : { condition }) }],
  });
const info = (d: Scene): Promise<Dap.ExceptionInfoResponse['body']> => d.ask('exceptionInfo', { threadId });

describe('names under each method', function () {
  for (const [mmu, expected] of Object.entries(SCOPES)) {
    it(`${mmu}: scopes and what they hold`, async () => {
      const d = await standing(mmu, FIRST_TOUCH, 'rbx], rbx');
      const { scopes } = await d.ask<Dap.ScopesResponse['body']>('scopes', { frameId: 1 });
      assert.deepEqual(
        scopes.map((s) => s.name),
        expected,
      );
      for (const { name, variablesReference } of scopes) {
        const rows = await texts(d, variablesReference, 4);
        assert.ok(rows.length > 0, name);
        const foreign = FOREIGN[mmu] ?? /$./;
        assert.deepEqual(
          // a control field's own name, of a processor that offers more than is used
          rows.filter((r) => foreign.test(r)),
          [],
          name,
        );
      }
    });
  }

  it('npt: the filter for faults of the second level stops at an NPF', async () => {
    const d = await standing('npt', FIRST_TOUCH, 'rbx, page');
    assert.ok((await filter(d, 'ept-violation', 'gpa == 0x200000 && read')).breakpoints[0]?.verified);
    assert.equal((await d.toStop('continue')).description, 'VM exit NPF, read, GPA 0x200000');
    const { exceptionId, details } = await info(d);
    assert.deepEqual([exceptionId, details?.fullTypeName], ['NPF', 'VM exit 1024: NPF']);
    assert.match(details?.message ?? '', /the nested tables have no mapping/);
  });

  it('shadow: the same filter stops at the #PF exits that the guest never sees, and conditions tell them apart', async () => {
    const d = await standing('shadow', FIRST_TOUCH, 'rbx, page');
    assert.ok((await filter(d, 'ept-violation', 'gva == 0x200000')).breakpoints[0]?.verified);
    const { description = '' } = await d.toStop('continue');
    assert.match(description, /^VM exit EXCEPTION_NMI, #PF \((hidden|dirty)\), GVA 0x200000$/);
    await filter(d, 'ept-violation', 'dirty && write');
    const write = await d.toStop('continue');
    assert.equal(write.description, 'VM exit EXCEPTION_NMI, #PF (dirty), GVA 0x200000');
  });

  it('software: filters and exits say that there are none', async () => {
    const d = await standing('software', HELLO, 'lodsb');
    for (const id of ['vm-exit', 'ept-violation']) {
      const [made] = (await filter(d, id)).breakpoints;
      assert.equal(made?.verified, false);
      assert.match(made.message ?? '', /no VM exits/);
    }
    assert.ok((await filter(d, 'guest-pf')).breakpoints[0]?.verified);
  });

  it('exits of the other extension are refused, with the own one’s name', async () => {
    const exits = async (mmu: string, ...names: string[]): Promise<(string | undefined)[]> => {
      const d = await standing(mmu, HELLO, 'lodsb');
      const { breakpoints } = await d.ask<Breakpoints>('setFunctionBreakpoints', {
        breakpoints: names.map((name) => ({ name })),
      });
      return breakpoints.map((b) => (b.verified ? undefined : b.message));
    };
    assert.deepEqual(await exits('npt', 'exit:NPF', 'exit:CPUID', 'exit:EPT_VIOLATION'), [
      undefined,
      undefined,
      'mmu=npt runs on SVM, whose exits have no `EPT_VIOLATION`; did you mean `NPF`?',
    ]);
    assert.deepEqual(await exits('ept', 'exit:EPT_VIOLATION', 'exit:ioio'), [
      undefined,
      'mmu=ept runs on VMX, whose exits have no `IOIO`; did you mean `IO_INSTRUCTION`?',
    ]);
    assert.deepEqual(await exits('shadow', 'exit:EXCEPTION_NMI', 'exit:EPT_VIOLATION'), [
      undefined,
      'mmu=shadow has no EPT, so nothing exits as `EPT_VIOLATION`: what its tables do not allow is a #PF, which exits as `EXCEPTION_NMI`',
    ]);
    assert.match((await exits('software', 'exit:*'))[0] ?? '', /^mmu=software has no VM exits/);
  });

  it('software: stepping in goes where QEMU’s softmmu goes, into the device and into the host’s fault', async () => {
    const steps = async (source: string, before: string): Promise<string[][]> => {
      const d = await standing('software', source, before);
      const seen: string[][] = [];
      for (let i = 0; i < 8; i++) {
        await d.toStop('stepIn');
        seen.push((await d.stack()).map((f) => f.name));
        if (seen.length > 1 && seen.at(-1)?.length === 1) break;
      }
      return seen;
    };
    assert.deepEqual(await steps(FIRST_TOUCH, 'rax, [rbx]'), [
      ['tlb_fill (VMM, user)', 'first'],
      ['#PF (CPU, root)', 'tlb_fill (VMM, user)', 'first'],
      ['handle_mm_fault (host kernel, kernel)', '#PF (CPU, root)', 'tlb_fill (VMM, user)', 'first'],
      ['do_anonymous_page (host kernel, kernel)', '#PF (CPU, root)', 'tlb_fill (VMM, user)', 'first'],
      ['first'],
    ]);
    assert.deepEqual(await steps(HELLO, 'out     dx, al'), [
      ['helper_outb (VMM, user)', 'next+0x12'],
      ['serial_ioport_write (VMM, user)', 'next+0x12'],
      ['next+0x12'],
    ]);
  });
});

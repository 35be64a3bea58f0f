import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble } from '../../../src/asm/index';
import { stubSource } from './stub';

/** What a guest showed: its debug console and the exit code of its write to port 0xf4. */
export interface Shown {
  readonly debugcon: string;
  readonly code: number | null;
}

const MEMORY = 64;
const SECONDS = 20;

/** Runs a flat image under QEMU's TCG: boot sectors from a disk, flat32 and flat64 through the Multiboot stub. */
export function runInQemu(qemu: string, start: 'boot' | 'flat32' | 'flat64', image: Uint8Array, entry: bigint): Shown {
  const dir = mkdtempSync(join(tmpdir(), 'pw-qemu-'));
  try {
    const log = join(dir, 'debugcon');
    const guest = join(dir, 'guest.bin');
    writeFileSync(guest, image);
    const common = [
      '-display',
      'none',
      '-net',
      'none',
      '-no-reboot',
      '-m',
      String(MEMORY),
      '-debugcon',
      `file:${log}`,
      '-device',
      'isa-debug-exit,iobase=0xf4,iosize=1',
    ];
    let boot: string[];
    if (start === 'boot') {
      // whole sectors, so that INT 13h would find them
      writeFileSync(guest, Buffer.concat([image, Buffer.alloc((512 - (image.length % 512)) % 512)]));
      boot = ['-drive', `file=${guest},format=raw`];
    } else {
      const stub = assemble(stubSource(start, entry, MEMORY << 20), { fileName: 'stub.asm' });
      if (!stub.ok) throw new Error(stub.diagnostics.map((d) => d.message).join('\n'));
      const kernel = join(dir, 'stub.bin');
      writeFileSync(kernel, stub.image);
      boot = ['-kernel', kernel, '-initrd', guest];
    }
    const p = spawnSync(qemu, ['-cpu', 'qemu64,+smap,+smep,+pdpe1gb', ...common, ...boot], {
      timeout: SECONDS * 1000,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (p.error) throw p.error;
    return { debugcon: existsSync(log) ? readFileSync(log, 'latin1') : '', code: p.status };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

import * as assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readIncluded } from '../../src/node/include';

describe('included files', () => {
  let root = '';
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'pw-include-'));
    mkdirSync(join(root, 'ws/sub'), { recursive: true });
    writeFileSync(join(root, 'ws/sub/in.inc'), 'inside');
    writeFileSync(join(root, 'out.inc'), 'outside');
    symlinkSync(join(root, 'out.inc'), join(root, 'ws/link.inc'));
  });
  after(() => rmSync(root, { recursive: true }));

  function check(path: string, expected: string | undefined, folders = [join(root, 'ws')]): void {
    const bytes = readIncluded(path, join(root, 'ws/main.asm'), folders);
    assert.equal(bytes && new TextDecoder().decode(bytes), expected);
  }

  it('reads a file of the workspace, relative to the file that names it', () => check('sub/in.inc', 'inside'));
  it('takes the folder of the file itself where no folder is open', () => check('sub/in.inc', 'inside', []));
  it('does not follow .. out of the workspace', () => check('../out.inc', undefined));
  it('does not follow an absolute path out of the workspace', () => check(join(root, 'out.inc'), undefined));
  it('does not follow a link out of the workspace', () => check('link.inc', undefined));
  it('gives nothing for a folder or a missing file', () => {
    check('sub', undefined);
    check('none.inc', undefined);
  });
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openForWriting, readBytes, writeWhole } from '../../src/node/files';
import { needs, skipBecause } from '../support/needs';

describe('node: files that a user names', () => {
  let folder = '';
  const at = (name: string): string => join(folder, name);
  before(() => (folder = mkdtempSync(join(tmpdir(), 'pagewalk-files-'))));
  after(() => rmSync(folder, { recursive: true }));

  const unreadable = (path: string, why: RegExp, most?: number): void => {
    const read = readBytes(path, most);
    assert.match(read.ok ? 'it was read' : read.why, why, path);
  };

  it('are ordinary ones within a limit', () => {
    writeFileSync(at('a'), 'abc');
    const read = readBytes(at('a'));
    assert.deepEqual(read.ok && [...read.bytes], [97, 98, 99]);
    unreadable(at('a'), /3 bytes long; 2 is the most/, 2);
    unreadable(at('none'), /no such file/);
    unreadable(folder, /folder/);
    writeFileSync(at('huge'), '');
    truncateSync(at('huge'), 2 ** 40);
    unreadable(at('huge'), /1099511627776 bytes long/);
  });
  it('are no FIFO, which nobody may ever write to or read', function () {
    const mkfifo = needs(this, 'mkfifo');
    spawnSync(mkfifo, [at('fifo')]);
    unreadable(at('fifo'), /FIFO/);
    assert.match(writeWhole(at('fifo'), 'x') ?? '', /not an ordinary file/);
  });
  it('are no device and no file of /proc', function () {
    for (const device of ['/dev/zero', '/dev/full'].filter((each) => existsSync(each))) {
      unreadable(device, /device/);
      assert.match(writeWhole(device, 'x') ?? '', /device|permission/);
    }
    if (!existsSync('/proc/self/maps')) skipBecause(this, 'no /proc');
    unreadable('/proc/self/maps', /size is not known/);
  });
  it('are not written over where they were read, whatever their name', () => {
    writeFileSync(at('in'), 'input');
    assert.ok(readBytes(at('in')).ok);
    symlinkSync(at('in'), at('soft'));
    linkSync(at('in'), at('hard'));
    for (const name of ['in', 'soft', 'hard']) {
      assert.match(writeWhole(at(name), 'x') ?? '', /same file as the input .*in; name another/);
      const opened = openForWriting(at(name));
      assert.ok(!opened.ok && /same file/.test(opened.why));
    }
    assert.equal(readFileSync(at('in'), 'utf8'), 'input');
    assert.equal(writeWhole(at('out'), 'longer'), undefined);
    assert.equal(writeWhole(at('out'), 'new'), undefined);
    assert.equal(readFileSync(at('out'), 'utf8'), 'new');
    mkdirSync(at('dir'));
    assert.match(writeWhole(at('dir'), 'x') ?? '', /folder/);
    assert.equal(writeWhole('/dev/null', 'x'), undefined);
  });
});

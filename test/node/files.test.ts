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
import { openForWriting, readBytes } from '../../src/node/files';
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

  /** Undefined, or why `text` cannot be the content of that file. */
  function write(path: string, text: string): string | undefined {
    const opened = openForWriting(path);
    if (!opened.ok) return opened.why;
    const why = opened.file.write(text);
    opened.file.close();
    return why;
  }

  it('are ordinary ones within a limit', () => {
    writeFileSync(at('a'), 'abc');
    const read = readBytes(at('a'));
    assert.deepEqual(read.ok && [...read.bytes], [97, 98, 99]);
    unreadable(at('a'), /3 bytes long; the maximum is 2/, 2);
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
    assert.match(write(at('fifo'), 'x') ?? '', /not an ordinary file/);
  });
  it('are no device and no file of /proc', function () {
    for (const device of ['/dev/zero', '/dev/full'].filter((each) => existsSync(each))) {
      unreadable(device, /device/);
      assert.match(write(device, 'x') ?? '', /device|permission/);
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
      assert.match(write(at(name), 'x') ?? '', /same file as the input .*in; name another/);
    }
    assert.equal(readFileSync(at('in'), 'utf8'), 'input');
    assert.equal(write(at('out'), 'longer'), undefined);
    assert.equal(write(at('out'), 'new'), undefined);
    assert.equal(readFileSync(at('out'), 'utf8'), 'new');
    mkdirSync(at('dir'));
    assert.match(write(at('dir'), 'x') ?? '', /folder/);
    assert.equal(write('/dev/null', 'x'), undefined);
  });
  it('are known to be one under all their names, as outputs too', () => {
    const identityOf = (path: string): string | undefined => {
      const opened = openForWriting(path);
      assert.ok(opened.ok);
      opened.file.close();
      return opened.file.identity;
    };
    const first = identityOf(at('one'));
    symlinkSync(at('one'), at('one-soft'));
    linkSync(at('one'), at('one-hard'));
    for (const name of ['one', 'dir/../one', 'one-soft', 'one-hard'])
      assert.equal(identityOf(`${folder}/${name}`), first);
    assert.notEqual(identityOf(at('two')), first);
    assert.equal(identityOf('/dev/null'), undefined);
  });
});

import * as assert from 'node:assert/strict';
import { joinedMarkdown } from '../../src/extension/hover-text';

describe('the joined hover', () => {
  it('names a thing once, with its kind, and tells its value once', () =>
    assert.equal(
      joinedMarkdown('**target\\_gva**\n\n`0x5000`\n\n---\n\nchain', '**target_gva** constant\n\n`0x5000 = 20480`'),
      '**target_gva** constant\n\n`0x5000`\n\n---\n\nchain',
    ));

  it('keeps a body that the value does not have', () =>
    assert.equal(
      joinedMarkdown('**N** at `0x10`\n\n`4`', '**N** macro\n\n```pagewalk-asm\n%define N 4\n```'),
      '**N** macro at `0x10`\n\n`4`\n\n```pagewalk-asm\n%define N 4\n```',
    ));

  it('is the guest’s alone where the two speak of different things', () =>
    assert.equal(joinedMarkdown('**\\[rbx\\]**\n\n`1`', '**rbx** register'), '**\\[rbx\\]**\n\n`1`'));
});

import * as assert from 'node:assert/strict';
import { EditedLines } from '../../../src/session/run/edited-lines';

/**
 * `current`: the edited text, `|` between its lines. `expected`: for each assembled line where it stands now, `~` before the nearest place of one that has changed;
 * after `/`, for each line of the edited text its assembled one, or `-`.
 */
function check(assembled: string, current: string, expected: string, differs = true, isNasm = true): void {
  const [before, after] = [assembled.replaceAll('|', '\n'), current.replaceAll('|', '\n')];
  const lines = new EditedLines(before, after, isNasm);
  const forward = before.split('\n').map((_, i) => {
    const { line, exact } = lines.toCurrent(i + 1);
    return `${exact ? '' : '~'}${line}`;
  });
  const backward = after.split('\n').map((_, i) => lines.toAssembled(i + 1) ?? '-');
  assert.equal(`${forward.join(' ')} / ${backward.join(' ')}`, expected);
  assert.equal(lines.differs, differs);
}

describe('lines of an edited text', () => {
  it('are its own where nothing changed', () => check('a|b|c', 'a|b|c', '1 2 3 / 1 2 3', false));
  it('move with what is inserted and deleted before them', () => {
    check('a|b|c', 'a|x|y|b|c', '1 4 5 / 1 - - 2 3');
    check('a|b|c|d', 'a|d', '1 ~2 ~2 2 / 1 4');
    check('a|b', 'x|a|b|y', '2 3 / - 1 2 -');
  });
  it('have a nearest place where they changed', () => {
    check('a|b|c', 'a|x|c', '1 ~2 3 / 1 - 3');
    check('a|b|c|d', 'a|x|d', '1 ~2 ~2 3 / 1 - 4');
    check('a|b', 'a', '1 ~1 / 1');
    check('a|b', 'x|y', '~1 ~2 / - -');
  });
  it('are told apart by what stands around them where they occur often', () =>
    check('nop|a|nop|b|nop|c', 'nop|a|x|nop|b|nop|nop|c|z', '1 2 4 5 6 8 / 1 2 - 3 4 5 - 6 -'));
  it('keep their order where a block was moved', () => check('a|b|c|d|e', 'd|e|a|b|c', '3 4 5 ~5 ~5 / - - 1 2 3'));
  it('are the same with another comment or more space, and a new blank or comment stands for what follows it', () => {
    check('a ; one|  b', '  a|b ; two', '1 2 / 1 2', false);
    check('a|b', 'a||; new|b', '1 4 / 1 2 2 2', false);
    check("db ';', 1|b", "db ';', 2|b", '~1 2 / - 2');
    check('db `;` ; c|b', 'db `;`|b', '1 2 / 1 2', false);
  });
  it('are not the same where the comment speaks to Pagewalk or goes on, or is none', () => {
    check('a ; @break rax|b', 'a|b', '~1 2 / - 2');
    check('a ; c \\|b', 'a ; c|b', '~1 2 / - 2');
    check('a; b|c', 'a; d|c', '~1 2 / - 2', true, false);
  });
  it('take time in proportion to their number', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `mov eax, ${i % 977}`);
    const edited = many.map((text, i) => (i % 100 === 50 ? `mov ebx, ${i}` : text));
    const lines = new EditedLines(many.join('\n'), edited.join('\n'), true);
    assert.deepEqual(lines.toCurrent(1), { line: 1, exact: true });
    assert.deepEqual(lines.toCurrent(100_000), { line: 100_000, exact: true });
    const reversed = new EditedLines(many.join('\n'), [...many].reverse().join('\n'), true);
    assert.equal(reversed.differs, true);
  });
});

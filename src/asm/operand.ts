import type { Span } from '../base/diagnostic';
import type { EffectiveAddress } from './address';
import { resolveAddress } from './address';
import type { Bits } from './code-size';
import type { RegisterInfo } from './registers';
import type { Decorators, OperandSyntax, Prefixes } from './statement';
import type { Scope, Value } from './value';
import { evaluate, EvaluationFault } from './value';

/** An operand whose expressions have values in this pass. */
export type Operand =
  | {
      readonly kind: 'register';
      readonly register: RegisterInfo;
      readonly size: number;
      readonly to: boolean;
      readonly decorators: Decorators;
      readonly span: Span;
    }
  | {
      readonly kind: 'memory';
      readonly address: EffectiveAddress;
      /** `rel` is written. */
      readonly rel: boolean;
      readonly size: number;
      readonly distance: 'near' | 'far' | 'short' | undefined;
      readonly decorators: Decorators;
      readonly span: Span;
    }
  | {
      readonly kind: 'immediate';
      readonly value: Value;
      readonly size: number;
      readonly strict: boolean;
      readonly distance: 'near' | 'far' | 'short' | undefined;
      readonly span: Span;
    }
  | {
      readonly kind: 'far';
      readonly selector: Value;
      readonly offset: Value;
      readonly size: number;
      readonly span: Span;
    };

/** @throws EvaluationFault */
export function resolveOperand(
  syntax: OperandSyntax,
  scope: Scope,
  bits: Bits,
  prefixes: Prefixes,
  relativeByDefault: boolean,
): Operand {
  switch (syntax.kind) {
    case 'far':
      return {
        kind: 'far',
        size: syntax.size,
        span: syntax.span,
        selector: plain(evaluate(syntax.selector, scope), syntax.span),
        offset: plain(evaluate(syntax.offset, scope), syntax.span),
      };
    case 'memory': {
      const value = evaluate(syntax.expr, scope);
      const index = syntax.splitIndex ? evaluate(syntax.splitIndex, scope) : undefined;
      const address = resolveAddress(syntax, value, bits, prefixes.addressSize, relativeByDefault, index);
      return {
        kind: 'memory',
        address,
        rel: syntax.relative === true,
        size: syntax.size,
        distance: syntax.distance,
        decorators: syntax.decorators,
        span: syntax.span,
      };
    }
    case 'expression': {
      const value = evaluate(syntax.expr, scope);
      const term = value.terms.find((t) => t.kind === 'register');
      if (term?.kind === 'register') {
        // `xmm4+3` names a set of four registers, as the 4FMAPS instructions take.
        const alone =
          value.terms.length === 1 &&
          term.times === 1n &&
          (value.number === 0n || value.number === 1n || value.number === 3n);
        if (!alone)
          throw new EvaluationFault(
            'badAddress',
            'registers can be added inside brackets only: write [ebx+4] for memory, lea for arithmetic',
            syntax.span,
          );
        return {
          kind: 'register',
          register: term.register,
          size: syntax.size,
          to: syntax.to,
          decorators: syntax.decorators,
          span: syntax.span,
        };
      }
      return {
        kind: 'immediate',
        value: plain(value, syntax.span),
        size: syntax.size,
        strict: syntax.strict,
        distance: syntax.distance,
        span: syntax.span,
      };
    }
  }
}

/** A number, or a label plus a number. */
function plain(value: Value, span: Span): Value {
  const t = value.terms[0];
  if (value.terms.length === 0 || value.unknown) return value;
  if (value.terms.length === 1 && t?.kind === 'section' && t.times === 1n) return value;
  throw new EvaluationFault(
    'notConstant',
    'this is neither a number nor an address: it contains a register or several label addresses',
    span,
  );
}

/** The controls that play something step by step, forward and back: buttons and a slider. */
import { h } from '../../dom';

/** How long a step stays while it plays. */
const STEP_MS = 650;

export interface Player {
  readonly element: HTMLElement;
  /** Shows that step `at` (1-based) is seen now; 0: before the first. */
  at(step: number): void;
}

/**
 * @param count steps
 * @param name what a step is called, for screen readers: `load`
 * @param show receives the step to show, 1-based; 0: before the first
 */
export function player(count: number, name: string, show: (step: number) => void): Player {
  let now = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  const slider = h('input', { type: 'range', min: 0, max: count, value: 0, step: 1, 'aria-label': `Step: ${name}` });
  const place = h('output', { class: 'place' });
  const button = (label: string, sign: string, work: () => void): HTMLButtonElement => {
    const made = h('button', { type: 'button', class: 'tool', title: label, 'aria-label': label }, sign);
    made.addEventListener('click', work);
    return made;
  };
  const play = button('Play', '▶', () => (timer === undefined ? start() : stop()));

  function go(step: number): void {
    now = Math.max(0, Math.min(count, step));
    draw();
    show(now);
  }
  function draw(): void {
    slider.value = String(now);
    slider.setAttribute('aria-valuetext', now === 0 ? 'before the first' : `${name} ${now} of ${count}`);
    place.textContent = `${now} / ${count}`;
    back.disabled = now === 0;
    forward.disabled = now === count;
  }
  function stop(): void {
    clearInterval(timer);
    timer = undefined;
    play.textContent = '▶';
    play.setAttribute('aria-label', 'Play');
    play.title = 'Play';
  }
  function start(): void {
    play.textContent = '❚❚';
    play.setAttribute('aria-label', 'Pause');
    play.title = 'Pause';
    go(now === count ? 1 : now + 1);
    timer = setInterval(() => {
      // The panel drew something else meanwhile.
      if (now === count || !slider.isConnected) stop();
      else go(now + 1);
    }, STEP_MS);
  }
  const back = button('Step back', '◀', () => (stop(), go(now - 1)));
  const forward = button('Step forward', '▶❘', () => (stop(), go(now + 1)));
  slider.addEventListener('input', () => (stop(), go(Number(slider.value))));
  draw();
  return {
    element: h(
      'div',
      { class: 'player', role: 'group', 'aria-label': `Play ${name}s` },
      back,
      play,
      forward,
      slider,
      place,
    ),
    at: (step) => {
      now = step;
      draw();
    },
  };
}

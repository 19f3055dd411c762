// The map: zooming, and asking for the scores of a pixel. `element`, `trigger` and `watch` are given by gradio.
const STEPS = [1, 1.5, 2, 3, 4, 6, 8];
let run = '', step = 0;

function zoomTo(next) {
  const box = element.querySelector('.ovrs-scroll');
  const middle = [(box.scrollLeft + box.clientWidth / 2) / box.scrollWidth, (box.scrollTop + box.clientHeight / 2) / box.scrollHeight];
  step = Math.min(Math.max(next, 0), STEPS.length - 1);
  element.style.setProperty('--zoom', STEPS[step]);
  box.scrollLeft = middle[0] * box.scrollWidth - box.clientWidth / 2;
  box.scrollTop = middle[1] * box.scrollHeight - box.clientHeight / 2;
}

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-zoom]');
  if (button) return zoomTo({ in: step + 1, out: step - 1, fit: 0 }[button.dataset.zoom]);
  const sheet = event.target.closest('.ovrs-sheet');
  if (!sheet || !sheet.dataset.run) return;
  const box = sheet.getBoundingClientRect();
  const across = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  const down = Math.min(Math.max((event.clientY - box.top) / box.height, 0), 1);
  element.style.setProperty('--across', 100 * across + '%');
  element.style.setProperty('--down', 100 * down + '%');
  element.classList.add('ovrs-marked');
  trigger('pick', { across: across, down: down });
});

// Another image or map: the mark and the zoom belong to the one before.
watch('value', () => {
  const sheet = element.querySelector('.ovrs-sheet');
  const now = sheet ? sheet.dataset.run : '';
  if (now === run) return;
  run = now;
  element.classList.remove('ovrs-marked');
  if (sheet && step) zoomTo(0);
});

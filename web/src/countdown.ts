// <ws-countdown left-s="5400">1 h 30 min left</ws-countdown>
// The server computes what is left of a clock; the browser only counts it down, on a clock that cannot be set.
import { _, filled } from "./words";

const TICK_MS = 1000;

/** Seconds in words, as api/pages/times.py writes them: the two largest units, a zero left out. */
export function inWords(duration: number): string {
  const whole = Math.floor(Math.abs(duration));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const seconds = whole % 60;
  if (days > 0) return filled(hours ? _("{days} d {hours} h") : _("{days} d"), { days, hours });
  if (hours > 0) return filled(minutes ? _("{hours} h {minutes} min") : _("{hours} h"), { hours, minutes });
  if (minutes > 0) return filled(seconds ? _("{minutes} min {seconds} s") : _("{minutes} min"), { minutes, seconds });
  return filled(_("{seconds} s"), { seconds });
}

class Countdown extends HTMLElement {
  static observedAttributes = ["left-s"];
  private timer: number | undefined;
  private startedAt = 0;

  connectedCallback(): void {
    this.timer = window.setInterval(() => this.show(), TICK_MS);
    this.show();
  }

  disconnectedCallback(): void {
    window.clearInterval(this.timer);
  }

  attributeChangedCallback(): void {
    this.startedAt = performance.now();
  }

  private show(): void {
    const left = Number(this.getAttribute("left-s")) - (performance.now() - this.startedAt) / 1000;
    const text = left >= 0 ? _("{time} left") : _("{time} overdue");
    this.textContent = filled(text, { time: inWords(left) });
    this.classList.toggle("overdue", left < 0);
  }
}

customElements.define("ws-countdown", Countdown);

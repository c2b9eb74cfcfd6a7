import { onFlowHint } from "./channel.ts";
import { GrantryError } from "./errors.ts";
import { flowStatus } from "./flow.ts";
import type { CallOptions } from "./http.ts";
import type { Flow } from "./types.ts";

/** First pause between two readings, in milliseconds. */
const FIRST_PAUSE = 500;
/** Longest pause. Two of them and a response fit into the five seconds within which a result must show. */
const LONGEST_PAUSE = 2000;
/** Shortest pause between two readings that hints (channel, focus) cause. */
const HINT_GAP = 500;
/** A reading that takes longer is aborted and repeated. */
const READ_TIMEOUT = 10_000;
/** Longest lifetime of a flow; it ends a watch whose readings all failed. */
const LONGEST_FLOW = 10 * 60_000;

/** How to watch a flow. */
export interface WatchOptions extends CallOptions {
  /** Called with the first reading and with each that differs from the one before. */
  onChange?: ((flow: Flow) => void) | undefined;
}

/**
 * Follows a flow until it ends, and returns its last state.
 *
 * Only readings from the server count; they are repeated with growing pauses. A message on the channel, a return to this
 * tab or to the network only causes an earlier reading. At the deadline of the flow the watch ends with `expired`.
 * Temporary failures are retried; `not_found`, `not_signed_in` and `forbidden` reject.
 */
export async function watchFlow(flowId: string, options: WatchOptions = {}): Promise<Flow> {
  const alarm = hintAlarm(options.space);
  options.signal?.addEventListener("abort", alarm.ring);
  try {
    return await follow(flowId, options, alarm);
  } finally {
    options.signal?.removeEventListener("abort", alarm.ring);
    alarm.stop();
  }
}

async function follow(flowId: string, options: WatchOptions, alarm: Alarm): Promise<Flow> {
  let deadline = Date.now() + LONGEST_FLOW;
  let last: Flow | undefined;
  let pause = FIRST_PAUSE;
  for (;;) {
    // Evaluated before the reading, so that a flow that finishes in its last second is reported as finished.
    const isLast = Date.now() >= deadline;
    const reading = await read(flowId, options);
    options.signal?.throwIfAborted();
    if (reading instanceof GrantryError) {
      if (isLast) {
        throw reading;
      }
      pause = Math.max(pause, (reading.retryAfter ?? 0) * 1000);
    } else {
      deadline = Math.min(deadline, reading.deadline);
      const flow = isLast && reading.status === "awaiting" ? expired(reading) : reading;
      if (flow.status !== last?.status || flow.code !== last?.code) {
        options.onChange?.(flow);
      }
      last = flow;
      if (flow.status !== "awaiting") {
        return flow;
      }
    }
    await alarm.sleep(Math.min(pause, Math.max(0, deadline - Date.now())));
    pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  }
}

function expired(flow: Flow): Flow {
  return { ...flow, status: "expired", code: "flow_expired" };
}

/** One reading: the flow, or a temporary failure. A permanent failure is thrown. */
async function read(flowId: string, options: WatchOptions): Promise<Flow | GrantryError> {
  const timeout = new AbortController();
  const stop = () => timeout.abort(options.signal?.reason);
  const timer = setTimeout(() => timeout.abort(), READ_TIMEOUT);
  options.signal?.addEventListener("abort", stop);
  try {
    options.signal?.throwIfAborted();
    return await flowStatus(flowId, { ...options, signal: timeout.signal });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof GrantryError)) {
      return new GrantryError("network_error", { cause: error });
    }
    if (error.status === 401 || error.status === 403 || error.status === 404) {
      throw error;
    }
    return error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", stop);
  }
}

interface Alarm {
  /** Sleeps for this time, or until a hint arrives. */
  sleep(milliseconds: number): Promise<void>;
  /** Ends the sleep at once. */
  ring(): void;
  stop(): void;
}

/** An alarm that hints ring early. A hint that arrives between two sleeps shortens the next one. */
function hintAlarm(space: string | undefined): Alarm {
  let hinted = false;
  let lastHintedWake = 0;
  let wakeIn: ((milliseconds: number) => void) | undefined;

  const soonest = () => Math.max(0, lastHintedWake + HINT_GAP - Date.now());
  const hint = () => {
    hinted = true;
    wakeIn?.(soonest());
  };
  const hintWhenVisible = () => {
    if (document.visibilityState === "visible") {
      hint();
    }
  };
  const stopListening = onFlowHint(hint, space);
  const hasPage = typeof document !== "undefined";
  if (hasPage) {
    document.addEventListener("visibilitychange", hintWhenVisible);
    window.addEventListener("focus", hint);
    window.addEventListener("online", hint);
    window.addEventListener("pageshow", hint);
  }

  return {
    async sleep(milliseconds) {
      await new Promise<void>((wake) => {
        let timer = setTimeout(wake, hinted ? Math.min(milliseconds, soonest()) : milliseconds);
        wakeIn = (pause) => {
          clearTimeout(timer);
          timer = setTimeout(wake, Math.min(milliseconds, pause));
        };
      });
      if (hinted) {
        lastHintedWake = Date.now();
      }
      hinted = false;
      wakeIn = undefined;
    },
    ring() {
      wakeIn?.(0);
    },
    stop() {
      stopListening();
      if (hasPage) {
        document.removeEventListener("visibilitychange", hintWhenVisible);
        window.removeEventListener("focus", hint);
        window.removeEventListener("online", hint);
        window.removeEventListener("pageshow", hint);
      }
    },
  };
}

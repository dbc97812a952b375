/**
 * When requests are due: fixed before the first is sent, so that a slow answer moves no later request. Latency counts from
 * these times, whenever the request really goes out ("no coordinated omission").
 */

export interface Schedule {
  /** When request `index` of this client is due, in microseconds after the start. */
  dueUs(index: number): number;
  /** Requests of this client that are due before the end. */
  readonly requests: number;
}

export interface ScheduleOptions {
  /** Transactions a second, of all clients together. */
  readonly rate: number;
  readonly transactionsPerRequest: number;
  /** Which of how many clients this is: they take turns, evenly. */
  readonly client: number;
  readonly clients: number;
  readonly durationUs: number;
}

export function createSchedule(options: ScheduleOptions): Schedule {
  const { rate, transactionsPerRequest, client, clients, durationUs } = options;
  const intervalUs = (transactionsPerRequest * 1e6) / rate;
  const dueUs = (index: number) => (index * clients + client) * intervalUs;
  // The number of k with (k · clients + client) · interval < duration.
  const requests = Math.max(0, Math.ceil((durationUs / intervalUs - client) / clients));
  return { dueUs, requests };
}

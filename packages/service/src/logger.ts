/** Structured logs (JSON lines by pino) for machines, and one plain line in an interval for people. */

import pino from 'pino';
import { z } from 'zod';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export const LogLevel: z.ZodEnum<{ [Level in (typeof LOG_LEVELS)[number]]: Level }> = z.enum(LOG_LEVELS);
export type LogLevel = (typeof LOG_LEVELS)[number];

interface LogMethod {
  (message: string): void;
  (fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** What code that logs may use. An error goes under the field `err`, with its stack and cause. */
export interface Logger {
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  /** Adds fields to every line, such as `{ part: 'consensus' }`. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

export interface LoggerOptions {
  /** The process or node, the field `name` of every line. */
  readonly name: string;
  readonly level: LogLevel;
  /** Appended to; its directory is made. Absent: standard output. */
  readonly file?: string;
  /** Takes the lines instead of a file or standard output. */
  readonly write?: (line: string) => void;
}

/** Field names whose values never reach a log, at the top of a line's fields and up to two levels down. */
export const REDACTED_FIELDS: readonly string[] = [
  'password',
  'passphrase',
  'secret',
  'secretKey',
  'privateKey',
  'mnemonic',
  'seed',
  'authorization',
  'jwt',
  'token',
];

export function createLogger(options: LoggerOptions): Logger {
  const { name, level } = options;
  const settings: pino.LoggerOptions = {
    name,
    level,
    base: { name },
    // The names of levels, not pino's numbers: what people and log stores search for.
    formatters: { level: (label) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: REDACTED_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '<hidden>' },
  };
  return pino(settings, destinationOf(options));
}

/** For tests and for parts that nobody listens to. */
export const silentLogger: Logger = pino({ level: 'silent' });

function destinationOf(options: LoggerOptions): pino.DestinationStream {
  const { file, write } = options;
  if (write !== undefined) return { write };
  if (file === undefined) return pino.destination({ dest: 1, sync: true });
  const destination = pino.destination({ dest: file, mkdir: true, append: true, sync: false });
  let told = false;
  destination.on('error', (error: Error) => {
    // A full disk must not end the process, nor go unnoticed.
    if (!told) process.stderr.write(`the log file ${file} cannot be written: ${error.message}\n`);
    told = true;
  });
  return destination;
}

/** What a person sees of a node, in order: label and value. Numbers get thousands separators. */
export type StatusFields = Readonly<Record<string, string | number>>;

export interface Notifier {
  /** Prints a line now, out of turn. */
  notify(): void;
  stop(): void;
}

/** Prints one line in every interval: `12:30:05  validator-1  view 1,204 · soft lag 0.12 s · peers 3`. */
export function createNotifier(options: {
  readonly name: string;
  readonly intervalMs: number;
  readonly read: () => StatusFields;
  /** Default: a line on standard error. */
  readonly write?: (line: string) => void;
}): Notifier {
  const { name, intervalMs, read, write = (line: string) => process.stderr.write(`${line}\n`) } = options;
  const notify = () => write(statusLine(name, read(), new Date()));
  const timer = setInterval(notify, intervalMs);
  timer.unref();
  return { notify, stop: () => clearInterval(timer) };
}

const SEPARATED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

export function statusLine(name: string, fields: StatusFields, at: Date): string {
  const parts = Object.entries(fields).map(
    ([label, value]) => `${label} ${typeof value === 'number' ? SEPARATED.format(value) : value}`,
  );
  return `${at.toISOString().slice(11, 19)}  ${name}  ${parts.join(' · ')}`;
}

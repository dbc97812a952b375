/** Reads a configuration file: YAML, of which JSON is a part. */

import { err, ok, type Result, SquadError } from '@squad/types';
import { Lexer, parseDocument } from 'yaml';
import { readBoundedFileSync } from '../bounded-file.ts';
import { MAX_OPTIONS_FILE_BYTES, MAX_OPTIONS_FILE_DEPTH } from '../limits.ts';

export interface OptionsFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Errors: `OPTIONS_FILE_UNREADABLE`, `OPTIONS_FILE_INVALID` with line and column. */
export function readOptionsFile(path: string): Result<OptionsFile, SquadError> {
  const text = readText(path);
  return text.ok ? parseOptionsFile(path, text.value) : text;
}

/** `path` is only for messages. An empty file sets nothing. */
export function parseOptionsFile(path: string, text: string): Result<OptionsFile, SquadError> {
  if (isNestedTooDeeply(text)) {
    return invalid(path, `it is nested deeper than MAX_OPTIONS_FILE_DEPTH = ${MAX_OPTIONS_FILE_DEPTH}`);
  }
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, maxAliasCount: 0 } as object);
  const fault = document.errors[0];
  if (fault !== undefined) return invalid(path, fault.message.split('\n')[0]!);
  let values: unknown;
  try {
    values = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    return invalid(path, error instanceof Error ? error.message : String(error));
  }
  if (values === null || values === undefined) return ok({ path, values: {} });
  if (typeof values !== 'object' || Array.isArray(values))
    return invalid(path, 'it is not a mapping of keys to values');
  return ok({ path, values: values as Record<string, unknown> });
}

/** The parser recurses, and its work grows with the square of the depth: 2 KB of "- - - …" are enough to end the process. */
function isNestedTooDeeply(text: string): boolean {
  // A level of a block stands one column further in than the one around it, or behind its `-`, `?` or `:`.
  if (new RegExp(`^[ \\t?:-]{${2 * MAX_OPTIONS_FILE_DEPTH + 1}}`, 'm').test(text)) return true;
  let depth = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > MAX_OPTIONS_FILE_DEPTH) return true;
  }
  return false;
}

function readText(path: string): Result<string, SquadError> {
  try {
    const bytes = readBoundedFileSync(path, MAX_OPTIONS_FILE_BYTES);
    if (bytes) return ok(new TextDecoder().decode(bytes));
    return invalid(path, `it has more bytes than MAX_OPTIONS_FILE_BYTES = ${MAX_OPTIONS_FILE_BYTES}`);
  } catch (error) {
    return err(
      new SquadError(
        'OPTIONS_FILE_UNREADABLE',
        `the configuration file ${path} cannot be read: ${error instanceof Error ? error.message : error}`,
        'Check the path and its permissions, or leave the file out.',
        { path },
        error,
      ),
    );
  }
}

function invalid(path: string, reason: string): Result<never, SquadError> {
  return err(
    new SquadError(
      'OPTIONS_FILE_INVALID',
      `the configuration file ${path} is not valid: ${reason}`,
      'Write one `option: value` on each line (YAML), or a JSON object.',
      { path },
    ),
  );
}

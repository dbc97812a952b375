/** The errors of storage that a person reads: what happened, in which file, and what to do about it. */

import { SquadError } from '@squad/types';

/**
 * The log is also the record of the votes (R16) and of the lane (R5) that this validator has signed: it is never simply thrown
 * away. Both name the epoch: in one in which it has signed nothing there is nothing that it could sign against.
 */
const RESTORE_LOG =
  'Move the folder away, keep it, and start with an empty one: the node catches up from its peers. A validator that forgets ' +
  'what it has signed can sign against itself, which convicts it: let it follow without its keystore and under another node ' +
  'key (`squad keys new`), and give it its own keys back, on the folder that it then has, once an epoch has begun after the ' +
  'one in which it stopped; or let the set replace its keys. (On a testnet, --reset begins anew.)';

export function logCorrupt(file: string, offset: number, fault: string): SquadError {
  return new SquadError('LOG_CORRUPT', `The log file ${file} is damaged at offset ${offset}: ${fault}.`, RESTORE_LOG, {
    file,
    offset,
    fault,
  });
}

export function logVersion(file: string, version: number, supported: number): SquadError {
  return new SquadError(
    'LOG_VERSION',
    `The log file ${file} has format version ${version}; this program reads version ${supported}.`,
    'Start the version of the program that wrote the folder, or a newer one.',
    { file, version, supported },
  );
}

export function logPruned(position: number, start: number): SquadError {
  return new SquadError(
    'LOG_PRUNED',
    `The log record at position ${position} was pruned; the log begins at ${start}.`,
    'Fetch what it held from a peer, or run the node with a longer retention.',
    { position, start },
  );
}

export function logPosition(position: number, end: number): SquadError {
  return new SquadError(
    'LOG_POSITION',
    `There is no log record at position ${position}; the log ends at ${end}.`,
    'Use a position that `append` or `replay` gave.',
    { position, end },
  );
}

export function logClosed(directory: string): SquadError {
  return new SquadError('LOG_CLOSED', `The log ${directory} is closed.`, 'Open it again.', { directory });
}

export function logLimit(field: string, value: number, limitName: string, limit: number): SquadError {
  return new SquadError(
    'LOG_LIMIT',
    `${field} is ${value}, not within 1 to ${limitName} = ${limit}.`,
    'Split what is appended into smaller records or calls.',
    { field, value, limitName, limit },
  );
}

export function logBacklog(pendingBytes: number, limit: number): SquadError {
  return new SquadError(
    'LOG_BACKLOG',
    `${pendingBytes} bytes wait to be written, more than MAX_PENDING_BYTES = ${limit}: the disk does not keep up.`,
    'Await `sync` between appends, and put the data folder on a faster disk.',
    { pendingBytes, limit },
  );
}

/** After any of these the log takes nothing more: what the disk holds is known again only after a new start. */
export function logWriteFailed(step: 'write' | 'sync', file: string, cause: unknown): SquadError {
  const reason = systemCode(cause) ?? String(cause);
  if (reason === 'ENOSPC' || reason === 'EDQUOT') {
    return new SquadError(
      'LOG_DISK_FULL',
      `No space is left for the log file ${file}; the log takes nothing more.`,
      'Free space on the disk of the data folder, or shorten the retention of bodies, and start the node again.',
      { file, step, reason },
      cause,
    );
  }
  const code = step === 'sync' ? 'LOG_SYNC_FAILED' : 'LOG_WRITE_FAILED';
  return new SquadError(
    code,
    `The disk refused to ${step} the log file ${file} (${reason}); the log takes nothing more, since a failed ${step} ` +
      'cannot be made good by trying again.',
    'Check the disk and the system log, then start the node again: it goes on from what reached the disk.',
    { file, step, reason },
    cause,
  );
}

export function folderLocked(path: string, pid: number): SquadError {
  return new SquadError(
    'FOLDER_LOCKED',
    `The folder is in use by process ${pid} (lock file ${path}).`,
    `Stop process ${pid}, or give this node a data folder of its own. Two nodes on one folder or one key would sign against each other.`,
    { path, pid },
  );
}

export function folderUnusable(path: string, cause: unknown): SquadError {
  const reason = systemCode(cause) ?? String(cause);
  return new SquadError(
    'FOLDER_UNUSABLE',
    `The folder ${path} cannot be used (${reason}).`,
    'Check that it is a folder on a local disk, and that this user may read and write it.',
    { path, reason },
    cause,
  );
}

export function keyValueLocked(directory: string, cause: unknown): SquadError {
  return new SquadError(
    'KEY_VALUE_LOCKED',
    `The index ${directory} is in use by another process, or opened twice in this one.`,
    'Stop the other process, or give this node a data folder of its own.',
    { directory },
    cause,
  );
}

export function keyValueCorrupt(directory: string, cause: unknown): SquadError {
  return new SquadError(
    'KEY_VALUE_CORRUPT',
    `The index ${directory} is damaged: ${cause instanceof Error ? cause.message : String(cause)}.`,
    'Stop the node, move this index folder away and start again: it is rebuilt from the log beside it. If the log was ' +
      `pruned, that cannot be. ${RESTORE_LOG}`,
    { directory },
    cause,
  );
}

export function keyValueClosed(directory: string): SquadError {
  return new SquadError('KEY_VALUE_CLOSED', `The index ${directory} is closed.`, 'Open it again.', { directory });
}

export function storeNetwork(file: string, found: string, expected: string): SquadError {
  return new SquadError(
    'STORE_NETWORK',
    `The data folder belongs to network ${found} (${file}), but this node is configured for network ${expected}.`,
    'Give the node the genesis file of that network, or a data folder of its own for this one.',
    { file, found, expected },
  );
}

export function storeVersion(file: string, found: number, supported: number): SquadError {
  return new SquadError(
    'STORE_VERSION',
    `The data folder has schema version ${found} (${file}); this program knows versions up to ${supported}.`,
    'Start the version of the program that wrote the folder, or a newer one.',
    { file, found, supported },
  );
}

export function storeIdentity(file: string, fault: string): SquadError {
  return new SquadError(
    'STORE_IDENTITY',
    `The data folder's description ${file} ${fault}.`,
    `Write this file anew if you know its content: it is JSON with "schemaVersion" and "networkId". ${RESTORE_LOG}`,
    { file, fault },
  );
}

export function storeBehindIndex(logEnd: number, indexedThrough: number): SquadError {
  return new SquadError(
    'STORE_LOG_SHORT',
    `The log ends at ${logEnd}, but it was durable and indexed up to ${indexedThrough}: records are missing from its end.`,
    RESTORE_LOG,
    { logEnd, indexedThrough },
  );
}

export function storeLogLost(directory: string): SquadError {
  return new SquadError(
    'STORE_LOG_LOST',
    `The log folder ${directory} holds no log, though this data folder had one.`,
    `Put the log back where it was, if it was moved. ${RESTORE_LOG}`,
    { directory },
  );
}

export function storeIndexLost(indexedThrough: number, logStart: number): SquadError {
  return new SquadError(
    'STORE_INDEX_LOST',
    `The index reaches up to ${indexedThrough}, but the log was pruned up to ${logStart}: blocks between them are lost.`,
    RESTORE_LOG,
    { indexedThrough, logStart },
  );
}

export function storeConflict(height: number, held: string, given: string): SquadError {
  return new SquadError(
    'STORE_CONFLICT',
    `Block ${given} was given as final at height ${height}, where block ${held} is final already.`,
    'Stop the node and keep its data folder: either the network has finalized two histories, or this node is not on it.',
    { height, held, given },
  );
}

export function storeGap(height: number, head: number): SquadError {
  return new SquadError(
    'STORE_GAP',
    `A final block of height ${height} was given, but the head is ${head}: heights must follow each other.`,
    'Store the blocks between them first.',
    { height, head },
  );
}

export function storeInput(field: string, value: unknown, demand: string): SquadError {
  return new SquadError('STORE_INPUT', `${field} is ${String(value)}; it must be ${demand}.`, 'Correct the caller.', {
    field,
    value,
  });
}

export function systemCode(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

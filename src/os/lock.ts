/**
 * A lock on a directory that no two processes can have, however close together they ask. The kernel keeps it (fcntl(2),
 * record locks) and takes it back when its process ends, in whatever way: there are no stale ones to tell from others.
 *
 * The only way from Node.js to such a lock is SQLite, whose exclusive transaction locks the file of a database and, as
 * nothing is written in it, leaves the file empty. The file stays where it is: whoever removed it would let a process that
 * has it open lock what the next one does not see.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Failure } from '../std/failure.ts';

/** SQLITE_BUSY, in the lower byte of what SQLite says. */
const busy = 5;
/** The first byte of those that SQLite locks: no other program's file with the same number on another disk is taken for it. */
const lockByte = 2 ** 30;

type Lock = { release(): void };

/** For this process until it ends, or gives it back. Failure `busy`: another one has it; `denied`: it cannot be had. */
export function lockDirectory(directory: string): Lock {
  const path = lockIn(directory);
  let file: DatabaseSync | null = null;
  try {
    file = new DatabaseSync(path);
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    const held = file;
    return { release: () => held.close() };
  } catch (error) {
    file?.close();
    const { errcode = 0, errstr = String(error) } = error as { errcode?: number; errstr?: string };
    if ((errcode & 0xff) !== busy)
      throw new Failure('denied', `data directory ${directory}: lock: ${errstr}`, error);
    const holder = lockHolder(directory);
    const who = holder === null ? 'a node already runs' : `process ${holder} already runs a node`;
    throw new Failure('busy', `data directory ${directory}: ${who} here`, error);
  }
}

/**
 * The process that has it, as Linux tells in proc(5) without a try at the lock, which might keep another from it. null: none
 * has it that can be seen from here, or nothing is told.
 */
export function lockHolder(directory: string): number | null {
  try {
    const { ino } = statSync(lockIn(directory));
    const lock = new RegExp(`: POSIX +ADVISORY +WRITE (\\d+) [\\da-f]+:[\\da-f]+:${ino} ${lockByte} `);
    return Number(lock.exec(readFileSync('/proc/locks', 'utf8'))?.[1] ?? 0) || null;
  } catch {
    return null; // Elsewhere there is no such file.
  }
}

const lockIn = (directory: string): string => join(directory, 'lock');

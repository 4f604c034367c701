/**
 * A hand-over's ticket on disk, where it outlives the process: complete under its name, or not there.
 *
 * @module
 */

import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { VfioError } from '../errors.ts'
import type { HandoverTicket } from '../migrate/index.ts'
import { attempt } from '../node/node-error.ts'
import { toJson } from './json-output.ts'
import { writeText } from './write-text.ts'

/** Nobody else needs to know of it. */
const MODE = 0o600

/** The file that `--ticket` names. */
export class TicketFile {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** @throws {@link VfioError} EEXIST when a ticket is there: it would be lost */
  checkUnused(): void {
    if (!existsSync(this.path)) return
    throw new VfioError(
      'EEXIST',
      `Cannot keep a ticket in "${this.path}": it holds one already, settle that with resolve or remove the file`,
    )
  }

  /** Makes it durable, or removes it once there is none. An arrow, to be passed on. */
  readonly keep = async (ticket: HandoverTicket | undefined): Promise<void> => {
    if (ticket === undefined) {
      await attempt(`remove "${this.path}"`, () => rm(this.path, { force: true }))
      return
    }
    await writeText(this.path, `${toJson(ticket)}\n`, { mode: MODE })
  }

  /** @throws {@link VfioError} EINVAL when it is no JSON; else as the system says */
  async read(): Promise<HandoverTicket> {
    const text = await attempt(`read "${this.path}"`, () => readFile(this.path, 'utf8'))
    try {
      return JSON.parse(text) as HandoverTicket
    } catch (cause) {
      throw new VfioError('EINVAL', `Cannot read "${this.path}": it holds no ticket, name another file`, {
        cause,
      })
    }
  }
}

/**
 * A migration that failed, and what is left of it.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { MigrateReport } from './migrate-report.ts'

/** What {@link migrate} rejects with: the first error, and the report up to it. */
export class MigrationError extends VfioError {
  /** Who runs the devices now is in its `owner`. */
  readonly report: MigrateReport

  /** The first error, what came of the migration in words, and the report. */
  constructor(first: VfioError, outcome: string, report: MigrateReport) {
    const { code, errno, section, offset } = first
    super(code, `${first.message}; ${outcome}`, {
      errno,
      // A cancellation keeps its reason; of any other the original stays reachable, with its stack.
      cause: code === 'ECANCELED' ? first.cause : first,
      ...(section === undefined ? {} : { section }),
      ...(offset === undefined ? {} : { offset }),
    })
    this.name = 'MigrationError'
    this.report = report
  }
}

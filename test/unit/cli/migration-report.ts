/** Reports of a migration as tests want them. @module */

import type { MigrateReport, ReceiveReport } from '../../../src/migrate/index.ts'

const pass = { elapsedMs: 50, bytesPerSecond: 1e9, dirtyBytesPerSecond: 8e7 }

/** A migration that converged in two passes. */
export const REPORT: MigrateReport = {
  id: '0123456789abcdef0123456789abcdef',
  bytes: 52_000_000,
  elapsedMs: 130,
  bytesPerSecond: 4e8,
  owner: 'destination',
  iterations: [
    { ...pass, iteration: 1, bytes: 50_000_000, remainingBytes: 4 * 1024 ** 2 },
    { ...pass, iteration: 2, bytes: 4 * 1024 ** 2, remainingBytes: 300_000 },
  ],
  downtimeMs: 8.25,
  expectedDowntimeMs: 7.5,
  downtimeLimitMs: 50,
  switchover: 'converged',
  downtimeBoundBy: 'drain',
  zeroBytesSaved: 1024 ** 2,
  throttlePercent: 20,
  connections: 2,
  devices: [{ type: 'bulk', bytes: 52_000_000 }],
  phases: { setupMs: 1, precopyMs: 100, stopMs: 1, drainMs: 5, loadMs: 2, commitMs: 0.25, cleanupMs: 3 },
}

/** The same at the destination. */
export const RECEIVED: ReceiveReport = {
  id: REPORT.id,
  bytes: 52_000_000,
  elapsedMs: 125,
  bytesPerSecond: 5e8,
  owner: 'destination',
  devices: REPORT.devices,
  phases: { prepareMs: 10, transferMs: 100, loadMs: 2, waitMs: 1, startMs: 0.5 },
}

/** The browser of tests: Debian's, or what STOPCOPY_CHROMIUM names. @module */

import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const CHROMIUM = process.env['STOPCOPY_CHROMIUM'] ?? '/usr/bin/chromium'
/** What lets it run as root, and keeps it from looking for hosts elsewhere. */
const FLAGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'

/** Whether tests can have one. */
export const hasChromium: boolean = existsSync(CHROMIUM)
if (!hasChromium)
  console.warn(
    `Nothing is tested in a browser: there is no ${CHROMIUM}, install chromium or set STOPCOPY_CHROMIUM`,
  )

/** Starts it. */
export function launchChromium(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS.split(' '), ...flags] })
}

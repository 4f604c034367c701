import { beforeAll, describe } from 'vitest'
import { createEngine } from '../../src/engine/index.ts'
import type { Engine, EngineVariant } from '../../src/engine/index.ts'
import { checksumCases } from './kernels/checksums.ts'
import { copyCases } from './kernels/copying.ts'
import { crc32cCases } from './kernels/crc32c.ts'
import { diffPageCases } from './kernels/diff-pages.ts'
import { layoutCheckCases } from './kernels/layout-checks.ts'
import { lz4Cases } from './kernels/lz4.ts'
import { layoutCases } from './kernels/layouts.ts'
import { pageHashCases } from './kernels/page-hashes.ts'
import { rangeCases } from './kernels/ranges.ts'
import { bitmapRunCases } from './kernels/bitmap-runs.ts'
import { zeroRunCases } from './kernels/zero-runs.ts'
import { sectionCases } from './kernels/sections.ts'
import { xxh3Cases } from './kernels/xxh3.ts'
import { zeroPageCases } from './kernels/zero-pages.ts'

/** What every variant's kernels must do, over either kind of memory; the variants' test files only name themselves. */
export function kernelSuite(variant: EngineVariant, shared = false): void {
  describe(`kernels of the ${variant} variant${shared ? ' over shared memory' : ''}`, () => {
    let engine: Engine
    beforeAll(async () => {
      engine = await createEngine({ variant, shared, memoryBytes: 16 << 20 })
    })
    checksumCases(() => engine)
    crc32cCases(() => engine)
    lz4Cases(() => engine)
    xxh3Cases(() => engine)
    sectionCases(() => engine)
    copyCases(() => engine)
    zeroPageCases(() => engine)
    zeroRunCases(() => engine)
    diffPageCases(() => engine)
    pageHashCases(() => engine)
    bitmapRunCases(() => engine)
    layoutCases(() => engine)
    layoutCheckCases(() => engine)
    rangeCases(() => createEngine({ variant, shared, memoryBytes: 65_536 }))
  })
}

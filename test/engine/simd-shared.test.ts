import { kernelSuite } from './kernel-suite.ts'

kernelSuite('simd', true)

import { kernelSuite } from './kernel-suite.ts'

kernelSuite('reference', true)

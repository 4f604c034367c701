import { kernelSuite } from './kernel-suite.ts'

kernelSuite('baseline', true)

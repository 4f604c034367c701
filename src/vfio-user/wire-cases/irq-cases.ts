/**
 * SET_IRQS without a descriptor: what can be said in bytes.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { irqSet } from './messages.ts'
import type { Trial } from './trial.ts'
import { NotApplicable, type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { DEVICE_SET_IRQS } = VfioUserCommand
const NONE = 1
const BOOL = 2
const EVENTFD = 4
const MASK = 8
const TRIGGER = 32

/** SET_IRQS and what it refuses. */
export function irqCases(): BenchCase[] {
  const one = 'flags name one kind of data and one action'
  return wireCases('irqs', [
    refused('an index that does not exist', 'an index that GET_INFO does not count', () =>
      irqSet(NONE | TRIGGER, 5, 0, 0),
    ),
    refused('a vector past the last', 'start and count lie within the vectors', (index, count) =>
      irqSet(NONE | TRIGGER, index, count, 1),
    ),
    refused('a range that wraps around', 'start and count lie within the vectors', (index) =>
      irqSet(NONE | TRIGGER, index, 0xffff_ffff, 2),
    ),
    refused('two kinds of data', one, (index) => irqSet(NONE | BOOL | TRIGGER, index, 0, 1)),
    refused('no action', one, (index) => irqSet(NONE, index, 0, 1)),
    refused('two actions', one, (index) => irqSet(NONE | MASK | TRIGGER, index, 0, 1)),
    refused('data that is not there', 'data of type bool has a byte for each vector', (index) =>
      irqSet(BOOL | TRIGGER, index, 0, 1),
    ),
    refused('half a structure', 'a payload shorter than its structure', (index) =>
      irqSet(NONE | TRIGGER, index, 0, 0).subarray(0, 12),
    ),
    {
      name: 'interrupts are disabled',
      rule: 'no data, trigger, start 0 and count 0 disable an index; the reply is a bare header',
      safety: 'changes',
      body: async (trial) => {
        const { index } = firstIndex(trial)
        await trial.replyOf(0, DEVICE_SET_IRQS, irqSet(NONE | TRIGGER, index, 0, 0))
      },
    },
    {
      name: 'an eventfd is taken away',
      rule: 'data of type eventfd without a descriptor de-assigns; the reply is a bare header',
      safety: 'changes',
      body: async (trial) => {
        const { index } = firstIndex(trial)
        await trial.replyOf(0, DEVICE_SET_IRQS, irqSet(EVENTFD | TRIGGER, index, 0, 1))
      },
    },
  ])
}

function refused(
  name: string,
  rule: string,
  request: (index: number, count: number) => Uint8Array,
): WireCaseBody {
  return {
    name: `${name} is refused`,
    rule: `${rule}: EINVAL`,
    body: (trial) => trial.refused(['EINVAL'], DEVICE_SET_IRQS, requestOf(trial, request)),
  }
}

function requestOf(trial: Trial, request: (index: number, count: number) => Uint8Array): Uint8Array {
  const { index, count } = firstIndex(trial)
  return request(index, count)
}

/** An interrupt index that has vectors. */
function firstIndex(trial: Trial): { index: number; count: number } {
  const found = trial.facts.irqs.find(({ count }) => count > 0)
  if (found === undefined) throw new NotApplicable('the device has no interrupts')
  return found
}

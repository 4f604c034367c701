/** A file becomes a device's memory, a stream, a device's memory and a file again. @module */

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { differenceFromImage, writeImage } from './device-image.ts'

const MIB = 1024 * 1024

describe('save bulk, verify and restore bulk', () => {
  it.each([0, 1, 4095, 4096, 4097])('give a file of %i bytes back', async (byteLength) => {
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeImage(file, byteLength)
    const saved = await stopcopy(['save', 'bulk', '--memory', file, '-o', out])
    expect(saved).toMatchObject({ code: 0, stderr: '' })
    expect(await stopcopy(['verify', out])).toMatchObject({ code: 0, stderr: '' })
    const restored = await stopcopy(['restore', 'bulk', out, '--memory-out', copy])
    expect(restored).toMatchObject({ code: 0, stderr: '' })
    expect(statSync(copy).size).toBe(byteLength)
    expect(readFileSync(copy).equals(readFileSync(file))).toBe(true)
    expect(readdirSync(directory).sort()).toEqual(['copy', 'file', 'out'])
  })

  it('give 64 MiB + 3 bytes back, with less memory than 1.3 devices and 150 MiB', async () => {
    const byteLength = 64 * MIB + 3
    const limit = 1.3 * byteLength + 150 * MIB
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeImage(file, byteLength)
    for (const words of [
      ['save', 'bulk', '--memory', file, '-o', out],
      ['verify', out],
      ['restore', 'bulk', out, '--memory-out', copy],
    ]) {
      const { code, stderr, peakBytes } = await stopcopy(words, { measure: true })
      expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' })
      expect(peakBytes, words[0]).toBeGreaterThan(10 * MIB)
      expect(peakBytes, words[0]).toBeLessThan(limit)
    }
    expect(await differenceFromImage(copy, byteLength)).toBe(-1)
  })

  it('give a compressed file back, and inspect lists its sections', async () => {
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    const bytes = Buffer.from('a line of text that comes again and again\n'.repeat(10_000))
    writeFileSync(file, bytes)
    const saved = await stopcopy(['save', 'bulk', '--memory', file, '--compress', 'lz4', '-o', out])
    expect(saved).toMatchObject({ code: 0, stderr: '' })
    expect(statSync(out).size).toBeLessThan(bytes.length / 10)
    const { stdout } = await stopcopy(['inspect', out])
    expect(stdout).toMatch(/PAGES_LZ4 +2 +[\d,]+ +memory, compressed/)
    expect(stdout).toMatch(/local +410 KiB +103 +0/)
    expect(await stopcopy(['verify', out])).toMatchObject({ code: 0, stderr: '' })
    const restored = await stopcopy(['restore', 'bulk', out, '--memory-out', copy])
    expect(restored).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(copy).equals(bytes)).toBe(true)
  })

  it('go through stdout and stdin', async () => {
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeImage(file, 70_001)
    await stopcopy(['save', 'bulk', '--memory', file, '-o', out])
    const saved = await stopcopy(['save', 'bulk', '--memory', file, '-o', '-'])
    const stream = Buffer.from(saved.stdout, 'latin1')
    expect(saved.code).toBe(0)
    expect(saved.stderr).toContain('Saved bulk')
    expect(stream.equals(readFileSync(out))).toBe(true)
    expect((await stopcopy(['verify', '-'], { input: stream })).code).toBe(0)
    expect((await stopcopy(['inspect', '-'], { input: stream })).code).toBe(0)
    const restored = await stopcopy(['restore', 'bulk', '-', '--memory-out', copy], { input: stream })
    expect(restored.code).toBe(0)
    expect(await differenceFromImage(copy, 70_001)).toBe(-1)
  })

  it('replace the file that has the name of their output', async () => {
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeImage(file, 5000)
    await writeImage(out, 100_000)
    await writeImage(copy, 100_000)
    expect((await stopcopy(['save', 'bulk', '--memory', file, '-o', out])).code).toBe(0)
    expect((await stopcopy(['restore', 'bulk', out, '--memory-out', copy])).code).toBe(0)
    expect(await differenceFromImage(copy, 5000)).toBe(-1)
  })
})

describe('save and restore', () => {
  it.each(['mtty', 'mtty:ports=1', 'mtty:ports=2'])(
    'take an %s to a device that fits its stream',
    async (spec) => {
      const out = join(temporaryDirectory(), 'out')
      const ports = spec.endsWith('2') ? 2 : 1
      expect((await stopcopy(['save', spec, '-o', out])).code).toBe(0)
      expect((await stopcopy(['verify', out])).code).toBe(0)
      const { code, stdout } = await stopcopy(['restore', 'mtty', out, '--json'])
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ device: { type: 'mtty', ports }, report: { state: 'STOP' } })
    },
  )

  it('give the memory that a seed makes, twice the same', async () => {
    const directory = temporaryDirectory()
    const [a, b, copy] = ['a', 'b', 'copy'].map((name) => join(directory, name)) as [string, string, string]
    await stopcopy(['save', 'bulk:size=100000,seed=9', '-o', a])
    await stopcopy(['save', 'bulk:size=100000,seed=9', '-o', b])
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true)
    expect((await stopcopy(['restore', 'bulk', a, '--memory-out', copy])).code).toBe(0)
    expect(new Set(readFileSync(copy)).size).toBe(256)
  })
})

/**
 * QEMU's vfio-user-pci with a bulk device of `stopcopy serve`: what a guest without firmware sees of it, byte for
 * byte, without and with file descriptors.
 */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { open, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BULK_ID, createBulk, DescriptorStatus } from '../../src/devices/index.ts'
import { VfioDevice } from '../../src/index.ts'
import { temporaryDirectory } from '../e2e/command.ts'
import { type Serving, startServe } from '../e2e/live-command.ts'
import { contents } from '../support/bulk-device.ts'
import { descriptors, type Found, need, qemu } from './peers.ts'
import { BulkDriver, BulkRegister, DescriptorOp } from './qemu/bulk-driver.ts'
import { EXIT_CODE, fnv1a, Guest, type GuestSetup, MEMORY_SPACE } from './qemu/guest.ts'
import { monitorImage } from './qemu/monitor-image.ts'

const LIMIT_MS = 120_000
const MEMORY_BYTES = 1024 * 1024
const RAM_BYTES = 128 * 1024 * 1024
const SLOT = 5
const ID = '1234:b01c'
const BULK = `bulk:size=${MEMORY_BYTES},seed=7`
const NO_FDS = ['--no-fds'] as const
/** Where the guest has its buffers. */
const BUFFER = 0x100_0000
const OTHER_BUFFER = 0x200_0000
const { DONE, ERROR } = DescriptorStatus
const SEED_AT_POWER_ON = 1n
/** Capabilities: power management, MSI, PCI Express, MSI-X. */
const [PM, MSI, EXPRESS, MSIX] = [1, 5, 0x10, 0x11] as const

interface StartOptions extends Partial<GuestSetup> {
  /** Of vfio-user-pci. */
  readonly properties?: object
}

interface Bench {
  readonly server: Serving
  readonly start: (options?: StartOptions) => Promise<Guest>
  readonly directory: string
}

/** A served device, and machines for it. */
async function bench(found: string, words: readonly string[] = [], name = BULK): Promise<Bench> {
  const directory = temporaryDirectory()
  const [path, bios] = [join(directory, 'socket'), join(directory, 'bios')]
  await writeFile(bios, monitorImage())
  const server = await startServe(name, [path], ...words)
  const driver = { driver: 'vfio-user-pci', addr: String(SLOT), socket: { type: 'unix', path } }
  const start = async ({ properties = {}, ...more }: StartOptions = {}): Promise<Guest> => {
    const device = { ...driver, ...properties }
    const args = [
      '-device',
      JSON.stringify(device),
      '-trace',
      'vfio_user_recv_request',
      ...(more.arguments ?? []),
    ]
    const guest = await Guest.start({ qemu: found, bios, ...more, arguments: args })
    onTestFinished(() => guest.kill())
    return guest
  }
  return { server, start, directory }
}

async function drive(guest: Guest): Promise<BulkDriver> {
  const driver = new BulkDriver(guest, await guest.placeBars(SLOT))
  await driver.start()
  return driver
}

/** DMA requests that QEMU was sent; it has told all of them once it has ended. */
function dmaRequests(guest: Guest): number {
  return guest.stderr.match(/vfio_user_recv_request/g)?.length ?? 0
}

/** The memory of the device at power-on, which another one of this process has, too. */
async function memoryAtPowerOn(): Promise<Uint8Array> {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, seed: 7 })
  const device = await VfioDevice.open(bulk)
  const bytes = contents(bulk)
  await device.close()
  return bytes
}

/** All of the device's memory goes to the guest's, and is what it was at power-on. */
async function checkPowerOn(guest: Guest, driver: BulkDriver): Promise<void> {
  expect(await guest.read64(driver.at(BulkRegister.SEED))).toBe(SEED_AT_POWER_ON)
  expect(await driver.run(DescriptorOp.TO_HOST, BUFFER, 0, MEMORY_BYTES)).toBe(DONE)
  expect(await guest.hash(BUFFER, MEMORY_BYTES)).toBe(fnv1a(await memoryAtPowerOn()))
}

/** Leaves traces that a clean device does not have. */
async function soil(guest: Guest, driver: BulkDriver): Promise<void> {
  await guest.write64(driver.at(BulkRegister.SEED), 0x0123_4567_89ab_cdefn)
  expect(await driver.run(DescriptorOp.FILL, 0, 0x5a, 65_536)).toBe(DONE)
}

/** Bytes go to the device from any address, are copied there, and come back to any address. */
async function checkDma(guest: Guest, driver: BulkDriver): Promise<void> {
  const bytes = randomBytes(5000)
  await guest.writeBytes(BUFFER + 4093, bytes)
  expect(await driver.run(DescriptorOp.FROM_HOST, 77, BUFFER + 4093, bytes.length)).toBe(DONE)
  expect(await driver.run(DescriptorOp.COPY, 100_001, 77, bytes.length)).toBe(DONE)
  expect(await driver.run(DescriptorOp.TO_HOST, OTHER_BUFFER + 3, 100_001, bytes.length)).toBe(DONE)
  expect(bytes.equals(await guest.readBytes(OTHER_BUFFER + 3, bytes.length))).toBe(true)
  // The most that one descriptor moves, there and back.
  await guest.fill(BUFFER, 0x5a, MEMORY_BYTES)
  expect(await driver.run(DescriptorOp.FROM_HOST, 0, BUFFER, MEMORY_BYTES)).toBe(DONE)
  await guest.write(BUFFER + 12_345, 0x01234567)
  expect(await driver.run(DescriptorOp.TO_HOST, OTHER_BUFFER, 0, MEMORY_BYTES)).toBe(DONE)
  expect(await guest.hash(OTHER_BUFFER, MEMORY_BYTES)).toBe(fnv1a(new Uint8Array(MEMORY_BYTES).fill(0x5a)))
}

describe('QEMU with a bulk device, without descriptors', { timeout: LIMIT_MS }, () => {
  it('attaches, enumerates it and sizes its BARs', async ({ skip }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS)
    const guest = await start()
    expect((await guest.scan()).get(SLOT)).toBe(ID)
    expect((await guest.configRead(SLOT, 8)) >>> 8).toBe(0x088000)
    expect([...(await guest.capabilities(SLOT)).keys()].sort((a, b) => a - b)).toEqual([
      PM,
      MSI,
      EXPRESS,
      MSIX,
    ])
    const bars = await guest.placeBars(SLOT)
    expect([...bars.values()]).toMatchObject([
      { index: 0, byteLength: 4096, kind: 'memory' },
      { index: 1, byteLength: 4096, kind: 'memory' },
      { index: 2, byteLength: MEMORY_BYTES, kind: 'memory64' },
      { index: 4, byteLength: 4096, kind: 'memory' },
    ])
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused; the device is in RUNNING/)
  })

  it('reads and writes registers and memory by bytes, words and longs', async ({ skip }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS)
    const guest = await start()
    const driver = await drive(guest)
    const seed = driver.at(BulkRegister.SEED)
    expect(await guest.read(driver.at(BulkRegister.ID))).toBe(BULK_ID)
    await guest.write64(seed, 0x0123_4567_89ab_cdefn)
    expect(await guest.read64(seed)).toBe(0x0123_4567_89ab_cdefn)
    expect([await guest.read(seed + 3, 1), await guest.read(seed + 2, 2)]).toEqual([0x89, 0x89ab])
    await guest.write(seed + 1, 0x77, 1)
    await guest.write(seed + 6, 0x5566, 2)
    expect(await guest.read64(seed)).toBe(0x5566_4567_89ab_77efn)
    const there = (await memoryAtPowerOn()).slice(0, 64)
    expect(await guest.readBytes(driver.memory, 64)).toEqual(Buffer.from(there))
    await guest.write(driver.memory + 8, 0xcafe, 2)
    there.set([0xfe, 0xca], 8)
    expect(await guest.readBytes(driver.memory, 64)).toEqual(Buffer.from(there))
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })

  it.for<[string, object]>([
    ['posts its writes', {}],
    ['waits for its writes', { 'x-no-posted-writes': true }],
  ])('answers DMA by message both ways, while the guest polls for its end and %s', async (row, { skip }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS)
    const guest = await start({ properties: row[1] })
    const driver = await drive(guest)
    await checkDma(guest, driver)
    expect(await driver.run(DescriptorOp.TO_HOST, 0x4000_0000, 0, 16), 'there is no RAM').toBe(ERROR)
    expect(await guest.exit()).toBe(EXIT_CODE)
    // What is read comes in 32 KiB: QEMU would lose a part of longer replies.
    expect(dmaRequests(guest)).toBe(1 + 1 + MEMORY_BYTES / 32_768 + 1)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })

  it('refuses DMA while bus mastering is off: the descriptor says so', async ({ skip }) => {
    const { start } = await bench(need(qemu(), skip), NO_FDS)
    const guest = await start()
    const driver = await drive(guest)
    await guest.fill(BUFFER, 0x33, 64)
    await guest.command(SLOT, MEMORY_SPACE)
    expect(await driver.run(DescriptorOp.TO_HOST, BUFFER, 0, 64)).toBe(ERROR)
    expect(await driver.run(DescriptorOp.FROM_HOST, 0, BUFFER, 64)).toBe(ERROR)
    expect(await guest.readBytes(BUFFER, 64)).toEqual(Buffer.alloc(64, 0x33))
    expect(await driver.run(DescriptorOp.COPY, 64, 0, 64), 'which needs none').toBe(DONE)
    await guest.placeBars(SLOT)
    expect(await driver.run(DescriptorOp.FROM_HOST, 0, BUFFER, 64)).toBe(DONE)
    expect(await guest.readBytes(driver.memory, 64)).toEqual(Buffer.alloc(64, 0x33))
    expect(await guest.exit()).toBe(EXIT_CODE)
    expect(dmaRequests(guest)).toBe(1)
  })

  it('resets the device with the machine', async ({ skip }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS)
    const guest = await start()
    await soil(guest, await drive(guest))
    await guest.reset()
    expect(await guest.configRead(SLOT, 4, 2), 'the command register').toBe(0)
    expect(await guest.configRead(SLOT, 0x10)).toBe(0)
    await checkPowerOn(guest, await drive(guest))
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })

  it('leaves a clean device when it exits, and when it is killed while DMA is under way', async ({
    skip,
  }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS)
    const first = await start()
    await soil(first, await drive(first))
    expect(await first.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left .* the device is in RUNNING/)
    const second = await start()
    const driver = await drive(second)
    await checkPowerOn(second, driver)
    await soil(second, driver)
    for (let n = 0; n < 8; n++) await driver.post(DescriptorOp.TO_HOST, BUFFER, 0, MEMORY_BYTES)
    second.kill()
    await server.says(/client 2 (left|was lost).* the device is in RUNNING/)
    const third = await start()
    await checkPowerOn(third, await drive(third))
    expect(await third.exit()).toBe(EXIT_CODE)
    await server.says(/client 3 left .* the device is in RUNNING/)
    expect(await server.interrupt()).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('QEMU with an mtty', { timeout: LIMIT_MS }, () => {
  it('enumerates it and reaches its ports', async ({ skip }) => {
    const { start, server } = await bench(need(qemu(), skip), NO_FDS, 'mtty:ports=2')
    const guest = await start()
    expect((await guest.scan()).get(SLOT)).toBe('4348:3253')
    const bars = await guest.placeBars(SLOT)
    expect([...bars.values()]).toMatchObject([
      { index: 0, byteLength: 8, kind: 'io' },
      { index: 1, byteLength: 8, kind: 'io' },
    ])
    // The scratch register of both UARTs, which is each one's own.
    for (const [index, value] of [0x5a, 0xa5].entries())
      await guest.out(bars.get(index)!.address + 7, value, 1)
    for (const [index, value] of [0x5a, 0xa5].entries())
      expect(await guest.in(bars.get(index)!.address + 7, 1)).toBe(value)
    // What is sent in loopback mode comes back.
    const port = bars.get(0)!.address
    await guest.out(port + 4, 0x10, 1)
    await guest.out(port, 0x42, 1)
    expect(await guest.in(port, 1)).toBe(0x42)
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused; the device is in RUNNING/)
  })
})

describe('QEMU with a bulk device, with descriptors', { timeout: LIMIT_MS }, () => {
  it('shares the RAM of the guest, and DMA needs no message', async ({ skip }) => {
    need(descriptors(), skip)
    const { start, server, directory } = await bench(need(qemu(), skip))
    const ram = join(directory, 'ram')
    writeFileSync(ram, '')
    await truncate(ram, RAM_BYTES)
    const backend = `memory-backend-file,id=ram,size=${RAM_BYTES},mem-path=${ram},share=on`
    const guest = await start({ machine: 'pc,memory-backend=ram', arguments: ['-object', backend] })
    const driver = await drive(guest)
    await checkDma(guest, driver)
    // Whoever has the file sees guest memory at its addresses.
    const bytes = randomBytes(65_536)
    const file = await open(ram, 'r+')
    onTestFinished(() => file.close())
    await file.write(bytes, 0, bytes.length, BUFFER)
    expect(await driver.run(DescriptorOp.FROM_HOST, 4096, BUFFER, bytes.length)).toBe(DONE)
    expect(await driver.run(DescriptorOp.TO_HOST, OTHER_BUFFER, 4096, bytes.length)).toBe(DONE)
    const back = Buffer.alloc(bytes.length)
    await file.read(back, 0, back.length, OTHER_BUFFER)
    expect(back.equals(bytes)).toBe(true)
    expect(await guest.exit()).toBe(EXIT_CODE)
    expect(dmaRequests(guest)).toBe(0)
    await server.says(/client 1 left after \d+ commands, 0 of them refused; the device is in RUNNING/)
  })

  it('hears INTx as the level that it is', async ({ skip }) => {
    need(descriptors(), skip)
    const { start, server } = await bench(need(qemu(), skip))
    const guest = await start()
    const driver = await drive(guest)
    const isRaised = await routeIntx(guest)
    const status = driver.at(BulkRegister.INTERRUPT_STATUS)
    for (let round = 0; round < 3; round++) {
      expect(await isRaised()).toBe(false)
      expect(await driver.run(DescriptorOp.FILL, 0, round, 64)).toBe(DONE)
      await until(isRaised)
      // QEMU takes any access for the end of the interrupt, and asks whether it goes on.
      expect(await guest.read(status)).toBe(1)
      await until(isRaised)
      await guest.write(status, 1)
      await until(async () => !(await isRaised()))
    }
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })

  it('hears MSI', async ({ skip }) => {
    need(descriptors(), skip)
    const { start, server } = await bench(need(qemu(), skip))
    const guest = await start()
    const driver = await drive(guest)
    const isRequested = await openApic(guest, 0x41)
    const at = (await guest.capabilities(SLOT)).get(MSI)!
    await guest.configWrite(SLOT, at + 4, 0xfee0_0000)
    await guest.configWrite(SLOT, at + 8, 0)
    await guest.configWrite(SLOT, at + 12, 0x41, 2)
    await guest.configWrite(SLOT, at + 2, (await guest.configRead(SLOT, at + 2, 2)) | 1, 2)
    expect(await isRequested()).toBe(false)
    expect(await driver.run(DescriptorOp.FILL, 0, 1, 64)).toBe(DONE)
    await until(isRequested)
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })

  it('hears MSI-X', async ({ skip }) => {
    need(descriptors(), skip)
    const { start, server } = await bench(need(qemu(), skip))
    const guest = await start()
    const bars = await guest.placeBars(SLOT)
    const driver = new BulkDriver(guest, bars)
    await driver.start()
    const isRequested = await openApic(guest, 0x42)
    const at = (await guest.capabilities(SLOT)).get(MSIX)!
    const { address: table } = bars.get((await guest.configRead(SLOT, at + 4)) & 7)!
    await guest.configWrite(SLOT, at + 2, (await guest.configRead(SLOT, at + 2, 2)) | 0x8000, 2)
    await guest.write(table, 0xfee0_0000)
    await guest.write(table + 4, 0)
    await guest.write(table + 8, 0x42)
    await guest.write(table + 12, 0)
    expect(await isRequested()).toBe(false)
    expect(await driver.run(DescriptorOp.FILL, 0, 1, 64)).toBe(DONE)
    await until(isRequested)
    expect(await guest.exit()).toBe(EXIT_CODE)
    await server.says(/client 1 left after \d+ commands, 0 of them refused/)
  })
})

describe('the monitor', () => {
  it('is what its source says', ({ skip }) => {
    const built = need(assembled(), skip)
    expect(Buffer.from(monitorImage()).equals(built)).toBe(true)
  })
})

/** What the GNU assembler makes of monitor.S. */
function assembled(): Found<Buffer> {
  const directory = temporaryDirectory()
  const [object, image] = [join(directory, 'monitor.o'), join(directory, 'monitor.bin')]
  const source = fileURLToPath(new URL('qemu/monitor.S', import.meta.url))
  const link = ['-m', 'elf_i386', '-Ttext', '0xffff0000', '-e', '0xffff0000', '--oformat', 'binary']
  try {
    execFileSync('as', ['--32', '-o', object, source], { stdio: 'pipe' })
    execFileSync('ld', [...link, '-o', image, object], { stdio: 'pipe' })
  } catch (error) {
    return { absent: `as and ld of GNU binutils for x86 are not there: ${(error as Error).message}` }
  }
  return { here: readFileSync(image) }
}

/** Asks until it is so; the test's limit ends it otherwise. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}

/** Routes all PCI interrupts to IRQ 10 of the PICs; asks whether that is requested. */
async function routeIntx(guest: Guest): Promise<() => Promise<boolean>> {
  for (const [port, words] of [
    [0x20, [0x11, 0x20, 4, 1]],
    [0xa0, [0x11, 0x28, 2, 1]],
  ] as const)
    for (const [n, word] of words.entries()) await guest.out(n === 0 ? port : port + 1, word, 1)
  for (let pin = 0; pin < 4; pin++) await guest.configWrite(1, 0x60 + pin, 10, 1)
  // Level triggered.
  await guest.out(0x4d1, 1 << (10 - 8), 1)
  return async () => {
    await guest.out(0xa0, 0x0a, 1)
    return ((await guest.in(0xa0, 1)) & (1 << (10 - 8))) !== 0
  }
}

/** Switches the local APIC on; asks whether a vector is requested. */
async function openApic(guest: Guest, vector: number): Promise<() => Promise<boolean>> {
  await guest.write(0xfee0_00f0, 0x1ff)
  const word = 0xfee0_0200 + (vector >> 5) * 16
  return async () => ((await guest.read(word)) & (1 << (vector & 31))) !== 0
}

/**
 * What a v86 machine is made of, and what its page can do with it.
 *
 * @module
 */

import type { DefinedDevice, ScalarField } from 'stopcopy'
import type { TextPicture } from './text-screen.ts'

/** Bytes of an image that the machine boots from or shows as a disk. */
export type V86Image = Uint8Array<ArrayBuffer> | ArrayBuffer

/** Options of `createV86Machine`; those that make the hardware must agree on both sides of a migration. */
export interface V86MachineOptions {
  /** v86.wasm: its URL (`new URL('v86/build/v86.wasm', import.meta.url)` through vite), or its bytes. */
  readonly wasm: string | URL | V86Image
  /** RAM, a power of two from 1 MiB; default 16 MiB. */
  readonly memoryBytes?: number
  /** Video memory, default 2 MiB. */
  readonly vgaMemoryBytes?: number
  /**
   * System BIOS (SeaBIOS `bios.bin`). Default: our own, which boots the first sector of `hda` and knows
   * nothing else; enough for `bootSector`, not for Linux.
   */
  readonly bios?: V86Image
  /** VGA BIOS (`vgabios-stdvga.bin`); only with `bios`. */
  readonly vgaBios?: V86Image
  /** 512 bytes to boot from; becomes a disk. Default, where nothing else can boot: our plasma guest. */
  readonly bootSector?: V86Image
  /** A hard disk. */
  readonly hda?: V86Image
  readonly cdrom?: V86Image
  /** A floppy disk. */
  readonly floppy?: V86Image
  /** A Linux kernel, with its initramfs embedded; needs `bios`. */
  readonly bzimage?: V86Image
  /** Command line of `bzimage`. */
  readonly cmdline?: string
  /**
   * What it runs, in a word. Only a machine of the same word takes its content; with one, nothing boots by
   * default, so that a machine can be made that only waits for another's content.
   */
  readonly guest?: string
  /** Element that v86 draws to by itself: a page's thread only. It holds a `div` and a `canvas`. */
  readonly screen?: HTMLElement
  /** Each byte that the machine sends on COM1. */
  readonly onSerial?: (byte: number) => void
  /** It is about to work, for the first time since it was let run. */
  readonly onWake?: () => void
  /** It worked for some milliseconds: its screen may show another picture. */
  readonly onWorked?: () => void
  /** The emulator failed and stands still: to save it, or to let it run, fails with EIO until it is reset. */
  readonly onFailure?: (cause: unknown) => void
}

/** A picture of the screen. */
export type V86Frame =
  | {
      readonly kind: 'graphics'
      readonly width: number
      readonly height: number
      /** RGBA, `width * height * 4` bytes; a copy, may be transferred. */
      readonly pixels: Uint8ClampedArray<ArrayBuffer>
    }
  | {
      readonly kind: 'text'
      readonly rows: readonly string[]
      /** Changes when the screen does. */
      readonly signature: number
      /** Draws it; undefined until the guest loaded a font. */
      picture(): TextPicture | undefined
    }

/** One machine. */
export interface V86Machine {
  /** For `VfioDevice.open`, any number of times, one at a time. */
  readonly driver: DefinedDevice<{ stateBytes: ScalarField<number> }, 'ram' | 'vga' | 'rest'>
  /** RAM, a view taken anew: do not hold it across an `await`. */
  readonly ram: Uint8Array<ArrayBuffer>
  /**
   * Whether the screen may show another picture than the last {@link V86Machine.frame}: what v86 tells without
   * a look at it, which it does not of text and of SVGA modes.
   */
  readonly hasDrawn: boolean
  /** The screen now; undefined where there is nothing to show yet. */
  frame(): V86Frame | undefined
  /** PS/2 scan codes from the keyboard (set 1): make, and break as make + 0x80. */
  sendScancodes(codes: readonly number[]): void
  /** Bytes to COM1. */
  sendSerial(bytes: Uint8Array): void
  /** Ends the emulator; close the device first. */
  destroy(): Promise<void>
}
